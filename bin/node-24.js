// Finds a Node.js that is new enough and becomes it. A checkout brings one along in node_modules; the
// process is replaced, not wrapped, so signals, the exit code and the process id are the program's
// own. Keep this file parseable by Node 18.
import { existsSync } from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const NEEDED = '24.3.0';
const F_SETFD = 2;
const require = module.createRequire(import.meta.url);

/** The folder of package.json. */
export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

/** Runs a module: here, when this Node is new enough, else with the one in node_modules. */
export async function runModule(file, args) {
  if (isNewEnough(process.versions.node)) {
    // Beside the program, not in a temporary folder where another user could plant code.
    const cache = path.join(root, 'node_modules', '.cache', 'compile');
    module.enableCompileCache?.(cache);
    process.env.NODE_COMPILE_CACHE ??= cache; // for the threads it starts
    process.argv = [process.execPath, file, ...args];
    await import(pathToFileURL(file).href);
    return;
  }
  const node = findNode();
  if (node !== undefined) replaceProcess(node, [node, file, ...args]);
  process.stderr.write(
    `trustplane needs Node.js ${NEEDED} or later, this is ${process.version} (${process.execPath}), ` +
      'and node_modules has none either. In a checkout run `npm ci`; ' +
      'elsewhere install Node.js 24 and run trustplane with it.\n',
  );
  process.exitCode = 1;
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
  const cache = path.join(root, 'node_modules', '.cache', 'compile');
  const environment = { NODE_COMPILE_CACHE: cache, ...process.env };
  if (process.execve !== undefined) process.execve(file, args, environment);
  const libc = require('koffi').load(null);
  const fcntl = libc.func('int fcntl(int fd, int command, ...)');
  const execve = libc.func('int execve(const char *file, const char **args, const char **env)');
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 'int', 0);
  const env = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  execve(file, [...args, null], [...env, null]);
  throw new Error(`cannot execute ${file}`);
}
