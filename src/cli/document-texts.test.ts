import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readDocumentTexts } from './document-texts.ts';

const refused = (why: string) =>
  expect.objectContaining({ code: 'ERR_USAGE', message: expect.stringContaining(why) });

async function read(paths: readonly string[]) {
  const texts = [];
  for await (const one of readDocumentTexts(paths)) texts.push(one);
  return texts;
}

async function makeTree() {
  const folder = await mkdtemp(path.join(tmpdir(), 'trustplane-documents-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const place = path.join(folder, 'entries');
  await mkdir(path.join(place, 'below'), { recursive: true });
  await writeFile(path.join(place, 'a.yaml'), 'a: 1\n');
  await writeFile(path.join(folder, 'secret.yaml'), 'token: secret\n');
  return { folder, place };
}

it('follows links within the directory, as those of mounted volumes', async () => {
  const { place } = await makeTree();
  await mkdir(path.join(place, '..data'));
  await writeFile(path.join(place, '..data', 'b.yaml'), 'b: 1\n');
  await symlink('..data/b.yaml', path.join(place, 'b.yaml'));
  await symlink('below', path.join(place, 'c.yaml'));
  const texts = await read([place]);
  expect(texts.map(({ text }) => text)).toEqual(['a: 1\n', 'b: 1\n']);
});

it.each([
  ['../../secret.yaml', 'outside of'],
  ['/dev/zero', 'outside of'],
  ['/proc/self/environ', 'outside of'],
])('reads nothing that a link to %s leads to', async (target, why) => {
  const { place } = await makeTree();
  await symlink(target, path.join(place, 'below', 'x.yaml'));
  await expect(read([place])).rejects.toEqual(refused(why));
});

it('does not wait for a pipe in the directory, by itself or by a link', async () => {
  for (const isLinked of [false, true]) {
    const { place } = await makeTree();
    const pipe = path.join(place, isLinked ? 'pipe' : 'pipe.yaml');
    execFileSync('mkfifo', [pipe]);
    if (isLinked) await symlink('pipe', path.join(place, 'x.yaml'));
    await expect(read([place])).rejects.toEqual(refused('is no file'));
  }
});

it('says which link leads nowhere', async () => {
  const { place } = await makeTree();
  await symlink('loop.yaml', path.join(place, 'loop.yaml'));
  await expect(read([place])).rejects.toEqual(refused('loop.yaml'));
});

it('reads what is named by itself, wherever a link leads', async () => {
  const { folder, place } = await makeTree();
  const link = path.join(place, 'x.yaml');
  await symlink('../secret.yaml', link);
  await expect(read([link])).resolves.toMatchObject([{ text: 'token: secret\n' }]);
  await expect(read([path.join(folder, 'secret.yaml')])).resolves.toHaveLength(1);
});
