// `node scripts/run.js FILE [ARGUMENT]...` runs a TypeScript file whatever Node runs this one: npm does
// not always link the Node that comes with the checkout. Keep it parseable by Node 18.
import path from 'node:path';
import process from 'node:process';
import { runModule } from '../bin/node-24.js';

const [file, ...args] = process.argv.slice(2);

await runModule(path.resolve(file), args);
