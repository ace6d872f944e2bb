import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { writePolicyFiles } from './write-policy-files.ts';

const file = (name: string) => ({ name, content: Buffer.from(name) });

function place() {
  const folder = mkdtempSync(path.join(tmpdir(), 'trustplane-show-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return { folder, inside: path.join(folder, 'in') };
}

it.each([
  '../a.yaml',
  '/a.yaml',
  'b/../../a.yaml',
  'a.yaml\0.yaml',
  '..yaml',
  '.a.yaml',
  'a.sh',
  `${'a'.repeat(300)}.yaml`,
])('writes nothing where the server names %j', async (name) => {
  const { folder, inside } = place();
  const written = writePolicyFiles(inside, [file('good.yaml'), file(name)]);
  await expect(written).rejects.toMatchObject({ code: 'ERR_REMOTE' });
  expect(readdirSync(folder)).toEqual([]);
});

it('writes nothing where the server names a file twice', async () => {
  const { inside } = place();
  const written = writePolicyFiles(inside, [file('a.yaml'), file('a.yaml')]);
  await expect(written).rejects.toMatchObject({ code: 'ERR_REMOTE' });
  expect(existsSync(inside)).toBe(false);
});

it('replaces a link, and leaves alone what it names', async () => {
  const { folder, inside } = place();
  await writePolicyFiles(inside, [file('a.yaml')]);
  const outside = path.join(folder, 'outside');
  writeFileSync(outside, 'mine');
  rmSync(path.join(inside, 'a.yaml'));
  symlinkSync(outside, path.join(inside, 'a.yaml'));
  await writePolicyFiles(inside, [file('a.yaml')]);
  expect(readFileSync(outside, 'utf8')).toBe('mine');
  expect(readFileSync(path.join(inside, 'a.yaml'), 'utf8')).toBe('a.yaml');
});

it('makes no mixture of two versions', async () => {
  const { inside } = place();
  await writePolicyFiles(inside, [file('a.yaml'), file('b.yaml')]);
  await expect(writePolicyFiles(inside, [file('b.yaml')])).rejects.toMatchObject({
    code: 'ERR_USAGE',
    message: expect.stringContaining('a.yaml is not of this version'),
  });
});
