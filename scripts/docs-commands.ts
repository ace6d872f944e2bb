/** `npm run docs:commands`: runs what README.md and the guides show, against a fresh trustplane. */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { launchTrustplane } from '../test/programs/launch-trustplane.ts';
import { createRunFolder } from '../test/programs/run-folder.ts';
import { runProgram } from '../test/programs/run-program.ts';
import { findRunnableBlocks, type RunnableBlock } from './runnable-blocks.ts';

const root = path.join(import.meta.dirname, '..');

process.exitCode = await main();

async function main(): Promise<number> {
  const files = ['README.md', ...globSync('docs/guides/*.md', { cwd: root }).sort()];
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const blocks = findRunnableBlocks(file, readFileSync(path.join(root, file), 'utf8'));
    const good = blocks.length === 0 ? 0 : await runBlocks(blocks);
    passed += good;
    failed += blocks.length - good;
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

/** Each document gets a trustplane of its own; its blocks run in order until one fails. */
async function runBlocks(blocks: readonly RunnableBlock[]): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const trustplane = await launchTrustplane(folder.path);
  stack.defer(async () => void (await trustplane.stop()));
  const env = {
    ...process.env,
    PATH: machinePath(),
    TMPDIR: folder.path,
    TRUSTPLANE_ADMIN_SOCKET: trustplane.adminSocket,
    SPIFFE_ENDPOINT_SOCKET: `unix://${trustplane.socket}`,
  };
  for (const [index, block] of blocks.entries()) {
    process.stdout.write(`${block.file}:${block.line}\n`);
    const args = ['-euo', 'pipefail', '-c', block.commands];
    const finished = await runProgram('bash', args, { cwd: root, env });
    if (finished.code === 0) continue;
    process.stdout.write(`${block.commands}${finished.stdout}${finished.stderr}`);
    process.stdout.write(`${block.file}:${block.line} ended with ${finished.code}\n`);
    return index;
  }
  return blocks.length;
}

/** Without what npm puts in front for its scripts: the reader's own Node starts trustplane. */
function machinePath(): string {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.filter((folder) => !folder.includes('node_modules')).join(path.delimiter);
}
