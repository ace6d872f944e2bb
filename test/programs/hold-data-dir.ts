/** Holds the data directory of the first argument until it is killed. */
import { openDataDir } from '../../src/ops/data-dir.ts';

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error('usage: hold-data-dir.ts PATH');
openDataDir(path);
console.log('held');
setInterval(() => {}, 60_000);
