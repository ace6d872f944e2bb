/** Holders of it wait their turn. */
const LARGE_BYTES = 1024 * 1024;

/**
 * One large response at a time to each process: a client that opens a thousand streams and reads none has
 * what it is to read in memory once.
 */
export class LargeWrites {
  /** By process: who writes, and who waits for that, in their order. */
  readonly #lines = new Map<number, Set<() => void>>();

  /** Whether `write` may be made now; else it is called when it may. Small ones may at any time. */
  enter(pid: number, bytes: number, write: () => void): boolean {
    if (bytes < LARGE_BYTES) return true;
    const line = this.#lines.get(pid) ?? new Set();
    this.#lines.set(pid, line.add(write));
    const [first] = line;
    return first === write;
  }

  /** It was made, or will not be. */
  leave(pid: number, write: () => void): void {
    const line = this.#lines.get(pid);
    const [first] = line ?? [];
    if (line === undefined || !line.delete(write)) return;
    const [next] = line;
    if (next === undefined) this.#lines.delete(pid);
    else if (first === write) next();
  }
}
