import { expect, it } from 'vitest';
import { runProgram } from '../test/programs/run-program.ts';
import { countDone, findRunnableBlocks, findUpFlags, joinBlocks } from './runnable-blocks.ts';

it('finds the blocks that are marked to be run, with their place', () => {
  const text = 'a\n```sh\nshown\n```\n\n```sh run\none\ntwo\n```\nb\n```sh run\nthree\n```\n';
  expect(findRunnableBlocks('x.md', text)).toEqual([
    { file: 'x.md', line: 6, commands: 'one\ntwo\n' },
    { file: 'x.md', line: 11, commands: 'three\n' },
  ]);
});

it('finds with which flags a document starts trustplane', () => {
  expect(findUpFlags('x.md', '```sh\nnpx trustplane up\n```\n')).toBeUndefined();
  expect(findUpFlags('x.md', '```sh up\nnpx trustplane up\n```\n')).toEqual([]);
  expect(findUpFlags('x.md', '```sh up\nnpx trustplane up --ca-ttl 40s\n```\n')).toEqual([
    '--ca-ttl',
    '40s',
  ]);
  expect(() => findUpFlags('x.md', '```sh up\nnpx trustplane down\n```\n')).toThrow('x.md');
});

it('runs blocks in one shell, stops at the first failure and ends what is left running', async () => {
  const block = { file: 'x.md', line: 1 };
  const blocks = ['sleep 60 > /dev/null 2>&1 &\nword=hello\n', 'echo $word\nfalse\n', 'echo no\n'];
  const script = joinBlocks(blocks.map((commands) => ({ ...block, commands })));
  const { code, stdout } = await runProgram('bash', ['-euo', 'pipefail', '-c', script]);
  expect([code, countDone(stdout)]).toEqual([1, 1]);
  expect(stdout).toContain('hello');
  expect(stdout).not.toContain('no\n');
});

it('counts all blocks when none failed', async () => {
  const script = joinBlocks([{ file: 'x.md', line: 1, commands: 'true\n' }]);
  const { code, stdout } = await runProgram('bash', ['-euo', 'pipefail', '-c', script]);
  expect([code, countDone(stdout)]).toEqual([0, 1]);
});
