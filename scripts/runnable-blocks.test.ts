import { expect, it } from 'vitest';
import { findRunnableBlocks } from './runnable-blocks.ts';

it('finds the blocks that are marked to be run, with their place', () => {
  const text = 'a\n```sh\nshown\n```\n\n```sh run\none\ntwo\n```\nb\n```sh run\nthree\n```\n';
  expect(findRunnableBlocks('x.md', text)).toEqual([
    { file: 'x.md', line: 6, commands: 'one\ntwo\n' },
    { file: 'x.md', line: 11, commands: 'three\n' },
  ]);
});
