#!/usr/bin/env node
// Starts trustplane whatever Node runs this file. Keep it parseable by Node 18.
import { existsSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { root, runModule } from './node-24.js';

const source = path.join(root, 'src', 'cli', 'main.ts');
const main = existsSync(source) ? source : path.join(root, 'dist', 'cli', 'main.js');

await runModule(main, process.argv.slice(2));
