import { createRequire } from 'node:module';
import type Koffi from 'koffi';

/**
 * Gives what the allocator holds and nobody uses back to the system (malloc_trim(3)), after a load that
 * has freed much. Takes milliseconds; does nothing with a C library that has no such call.
 */
export function returnFreedMemory(): void {
  const require = createRequire(import.meta.url);
  const koffi: typeof Koffi = require('koffi');
  try {
    koffi.load(null).func('int malloc_trim(size_t pad)')(0);
  } catch {
    // Only glibc has it.
  }
}
