/** `npm run mutants`: whether the tests find mistakes that were planted in what decides. */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `Plants each mistake of test/mutants in a copy of the sources. A patch that begins with "Test: FILE" has to be found by
that test; the others are of the engine, and have to be found by its differential test; those named rbac-* are of the
compiler of Envoy's RBAC, which has a differential test of its own.

  npm run mutants                        all of them
  npm run mutants -- --only NAME         one
  npm run mutants -- --seed 7            with other policies and requests (default 1)

Exit code 1 if one is not found, or does not apply any more.`;

const MAX_SAID = 600;
const root = fileURLToPath(new URL('../', import.meta.url));

/** What the judges and what they judge are made of. */
const places = [
  'src',
  'proto',
  'package.json',
  'vitest.config.ts',
  ...['differential', 'fakes', 'fixtures', 'fuzz', 'oracles', 'programs', 'suites'].map(
    (name) => `test/${name}`,
  ),
];

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});

process.exitCode = flags.help ? print(USAGE) : main();

function main(): number {
  const patches = globSync('test/mutants/*.patch', { cwd: root }).toSorted();
  const chosen = patches.filter((file) => flags.only === undefined || nameOf(file) === flags.only);
  if (chosen.length === 0) return print(`there is no mutant ${flags.only ?? ''}`) + 1;
  for (const judgeFile of new Set(chosen.map(judgeOf))) {
    const sound = judge(judgeFile);
    if (sound.isFound) return print(`what is not changed is found wrong: ${sound.said}`) + 1;
  }
  const lost = chosen.filter((file) => !isFound(file));
  print(`${chosen.length - lost.length} passed, ${lost.length} failed`);
  return lost.length === 0 ? 0 : 1;
}

function isFound(file: string): boolean {
  const { isFound: isKilled, said } = judge(judgeOf(file), path.join(root, file));
  print(`${isKilled ? 'found   ' : 'SURVIVED'} ${nameOf(file)}: ${said}`);
  return isKilled;
}

interface Judgement {
  readonly isFound: boolean;
  readonly said: string;
}

/** The test that the patch names, or a differential test. */
function judgeOf(file: string): string {
  const named = /^Test: (\S+\.test\.ts)$/mu.exec(readFileSync(path.join(root, file), 'utf8'));
  if (named?.[1] !== undefined) return named[1];
  const name = nameOf(file).startsWith('rbac-') ? 'judge-rbac.ts' : 'judge-engine.ts';
  return `test/differential/${name}`;
}

/** In a copy, with the patch if there is one. */
function judge(judgeFile: string, patch?: string): Judgement {
  const copy = mkdtempSync(path.join(tmpdir(), 'mutant-'));
  try {
    for (const place of places)
      cpSync(path.join(root, place), path.join(copy, place), { recursive: true });
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    if (patch !== undefined) {
      const applied = run('git', ['apply', '--unidiff-zero', patch], copy);
      if (applied.code !== 0) return { isFound: false, said: `does not apply: ${applied.output}` };
    }
    return judgeFile.endsWith('.test.ts')
      ? judgeByTest(judgeFile, copy)
      : judgeByDifference(judgeFile, copy, patch !== undefined);
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function judgeByTest(test: string, copy: string): Judgement {
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs');
  const { code, output } = run(process.execPath, [vitest, 'run', '--project=unit', test], copy);
  if (code === 0) return { isFound: false, said: `${test} passes` };
  const failed = /^ *FAIL .*$/mu.exec(output)?.[0].trim();
  // A file that could not be read at all is no judgement.
  if (failed === undefined || !/^ *Tests +\d+ failed/mu.test(output))
    throw new Error(`no judgement (${code}): ${output.slice(-MAX_SAID)}`);
  return { isFound: true, said: failed };
}

function judgeByDifference(judgeFile: string, copy: string, isPlanted: boolean): Judgement {
  const { code, output } = run(process.execPath, [path.join(copy, judgeFile), flags.seed], copy);
  const said = output.slice(0, MAX_SAID);
  // Whatever else ends it is no judgement.
  if (code !== 0 && code !== 1) throw new Error(`ended with ${code}: ${said}`);
  const isFound = code === 1 && /became|canary/u.test(said);
  if (!isPlanted && code !== 0 && !isFound) throw new Error(`no judgement: ${said}`);
  return { isFound, said: said || 'no difference' };
}

function run(command: string, args: readonly string[], cwd: string) {
  const env = { ...process.env, NO_COLOR: '1' };
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  return { code: status ?? -1, output: `${stdout}${stderr}`.trim() };
}

function nameOf(file: string): string {
  return path.basename(file, '.patch');
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
