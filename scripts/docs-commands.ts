/**
 * `npm run docs:commands`: runs what README.md, the guides, the reference and the examples show, against a fresh
 * trustplane; with `-- docs/guides/jwt-svids.md` that page alone.
 */
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { launchTrustplane } from '../test/programs/launch-trustplane.ts';
import { createRunFolder } from '../test/programs/run-folder.ts';
import { runProgram } from '../test/programs/run-program.ts';
import { putProgramsInto } from './programs-on-path.ts';
import {
  countDone,
  findRunnableBlocks,
  findUpFlags,
  joinBlocks,
  type RunnableBlock,
} from './runnable-blocks.ts';

const root = path.join(import.meta.dirname, '..');

process.exitCode = await main();

async function main(): Promise<number> {
  const named = process.argv.slice(2);
  const pages = '{docs/{guides,reference}/*.md,examples/*/README.md}';
  const all = ['README.md', ...globSync(pages, { cwd: root }).sort()];
  const files = named.length > 0 ? named : all;
  let passed = 0;
  let failed = 0;
  for (const file of files) {
    const markdown = readFileSync(path.join(root, file), 'utf8');
    const blocks = findRunnableBlocks(file, markdown);
    const good = blocks.length === 0 ? 0 : await runBlocks(blocks, findUpFlags(file, markdown));
    passed += good;
    failed += blocks.length - good;
  }
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

/**
 * Runs the blocks of one document in one shell until one fails; returns how many were done. A
 * document that starts trustplane gets one of its own, others start their own.
 */
async function runBlocks(
  blocks: readonly RunnableBlock[],
  upFlags: readonly string[] | undefined,
): Promise<number> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: [await putProgramsInto(folder.path), machinePath()].join(path.delimiter),
    TMPDIR: folder.path,
  };
  if (upFlags !== undefined) {
    const trustplane = await launchTrustplane(folder.path, ...upFlags);
    stack.defer(async () => void (await trustplane.stop()));
    env['TRUSTPLANE_ADMIN_SOCKET'] = trustplane.adminSocket;
    env['SPIFFE_ENDPOINT_SOCKET'] = `unix://${trustplane.socket}`;
  }
  const args = ['-euo', 'pipefail', '-c', joinBlocks(blocks)];
  const finished = await runProgram('bash', args, { cwd: root, env, timeoutMs: 180_000 });
  const done = countDone(finished.stdout);
  for (const { file, line } of blocks.slice(0, done)) process.stdout.write(`ok ${file}:${line}\n`);
  const culprit = blocks[done];
  if (culprit !== undefined) {
    process.stdout.write(`${finished.stdout}${finished.stderr}`);
    process.stdout.write(`${culprit.file}:${culprit.line} ended with ${finished.code}\n`);
  }
  return done;
}

/** Without what npm puts in front for its scripts: the reader's own Node starts trustplane. */
function machinePath(): string {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.filter((folder) => !folder.includes('node_modules')).join(path.delimiter);
}
