/** Opens the data directory of the first argument and tells what came of it. */
import { existsSync, readdirSync } from 'node:fs';
import { openDataDir } from '../../src/ops/data-dir.ts';
import { TrustplaneError } from '../../src/spiffe/errors.ts';

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: open-data-dir.ts PATH');
try {
  openDataDir(path);
  console.log('opened');
} catch (error) {
  if (!(error instanceof TrustplaneError)) throw error;
  console.log(error.code, error.message);
}
console.log('files:', existsSync(path) ? readdirSync(path).join(' ') : '');
