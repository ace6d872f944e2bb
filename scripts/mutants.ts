/** `npm run mutants`: whether the differential test finds mistakes that were planted in the engine, and in what of it is put into Envoy. */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const USAGE = `Plants each mistake of test/mutants in a copy of the engine, and has the differential test judge it; those named rbac-*
are of the compiler of Envoy's RBAC, which has a differential test of its own.

  npm run mutants                        all of them
  npm run mutants -- --only NAME         one
  npm run mutants -- --seed 7            with other policies and requests (default 1)

Exit code 1 if one is not found, or does not apply any more.`;

const root = fileURLToPath(new URL('../', import.meta.url));

/** What the judge and the engine are made of. */
const folders = [
  'src',
  ...['differential', 'fakes', 'oracles', 'programs'].map((name) => `test/${name}`),
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

function judgeOf(file: string): string {
  return nameOf(file).startsWith('rbac-') ? 'judge-rbac.ts' : 'judge-engine.ts';
}

/** In a copy, with the patch if there is one. */
function judge(judgeFile: string, patch?: string): Judgement {
  const copy = mkdtempSync(path.join(tmpdir(), 'mutant-'));
  try {
    for (const folder of folders)
      cpSync(path.join(root, folder), path.join(copy, folder), { recursive: true });
    cpSync(path.join(root, 'package.json'), path.join(copy, 'package.json'));
    symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    if (patch !== undefined) {
      const applied = run('git', ['apply', '--unidiff-zero', patch], copy);
      if (applied.code !== 0) return { isFound: false, said: `does not apply: ${applied.output}` };
    }
    const args = [path.join(copy, 'test/differential', judgeFile), flags.seed];
    const { code, output } = run(process.execPath, args, copy);
    // Whatever else ends it is no judgement.
    if (code !== 0 && code !== 1) throw new Error(`ended with ${code}: ${output}`);
    const isFound = code === 1 && /became|canary/u.test(output);
    if (patch === undefined && code !== 0 && !isFound) throw new Error(`no judgement: ${output}`);
    return {
      isFound,
      said: output || 'no difference',
    };
  } finally {
    rmSync(copy, { recursive: true });
  }
}

function run(command: string, args: readonly string[], cwd: string) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  return { code: status ?? -1, output: `${stdout}${stderr}`.trim().slice(0, 600) };
}

function nameOf(file: string): string {
  return path.basename(file, '.patch');
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}
