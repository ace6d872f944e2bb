#!/usr/bin/env node
// Starts trustplane whatever Node runs this file: the product needs Node 24, and a checkout brings
// one along in node_modules. The process is replaced, not wrapped, so signals, the exit code and
// the process id are the program's own. Keep this file parseable by Node 18.
import { existsSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NEEDED = '24.3.0';
const F_SETFD = 2;
const require = module.createRequire(import.meta.url);
const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const source = path.join(root, 'src', 'cli', 'main.ts');
const main = existsSync(source) ? source : path.join(root, 'dist', 'cli', 'main.js');

if (isNewEnough(process.versions.node)) {
  // Beside the program, not in a temporary folder where another user could plant code.
  const cache = path.join(root, 'node_modules', '.cache', 'compile');
  module.enableCompileCache?.(cache);
  process.env.NODE_COMPILE_CACHE ??= cache; // for the threads it starts
  await import(pathToFileURL(main).href);
} else {
  const node = findNode();
  if (node === undefined) {
    process.stderr.write(
      `trustplane needs Node.js ${NEEDED} or later, this is ${process.version} (${process.execPath}), ` +
        'and node_modules has none either. In a checkout run `npm ci`; ' +
        'elsewhere install Node.js 24 and run trustplane with it.\n',
    );
    process.exitCode = 1;
  } else {
    replaceProcess(node, [node, fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
  }
}

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number);
  const [neededMajor, neededMinor] = NEEDED.split('.').map(Number);
  return major > neededMajor || (major === neededMajor && minor >= neededMinor);
}

/** The Node.js that `npm ci` put beside a checkout's dependencies. */
function findNode() {
  try {
    const name = `node-${process.platform}-${process.arch}`;
    const node = path.join(path.dirname(require.resolve(`${name}/package.json`)), 'bin', 'node');
    return existsSync(node) ? node : undefined;
  } catch {
    return undefined;
  }
}

/** execve(2), which returns only by throwing. Node marks the standard streams close-on-exec. */
function replaceProcess(file, args) {
  if (process.execve !== undefined) return process.execve(file, args, process.env);
  const libc = require('koffi').load(null);
  const fcntl = libc.func('int fcntl(int fd, int command, ...)');
  const execve = libc.func('int execve(const char *file, const char **args, const char **env)');
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 'int', 0);
  const env = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  execve(file, [...args, null], [...env, null]);
  throw new Error(`cannot execute ${file}`);
}
