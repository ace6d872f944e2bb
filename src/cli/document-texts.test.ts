import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { readDocumentTexts } from './document-texts.ts';

async function readAll(paths: readonly string[], maxFileBytes?: number) {
  const texts = [];
  const mistakes: string[] = [];
  const onMistake = (line: string) => void mistakes.push(line);
  for await (const one of readDocumentTexts(paths, onMistake, maxFileBytes)) texts.push(one);
  return { texts: texts.map(({ text }) => text), mistakes };
}

async function read(paths: readonly string[]) {
  const { texts, mistakes } = await readAll(paths);
  expect(mistakes).toEqual([]);
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
  expect(await read([place])).toEqual(['a: 1\n', 'b: 1\n']);
});

it.each([
  ['../../secret.yaml', 'outside of'],
  ['/dev/zero', 'outside of'],
  ['/proc/self/environ', 'outside of'],
])('reads nothing that a link to %s leads to', async (target, why) => {
  const { place } = await makeTree();
  const link = path.join(place, 'below', 'x.yaml');
  await symlink(target, link);
  const { texts, mistakes } = await readAll([place]);
  expect(texts).toEqual(['a: 1\n']);
  expect(mistakes).toEqual([expect.stringContaining(why)]);
  expect(mistakes[0]).toContain(`${link}:1:1: `);
});

it('does not wait for a pipe in the directory, by itself or by a link', async () => {
  for (const isLinked of [false, true]) {
    const { place } = await makeTree();
    const pipe = path.join(place, isLinked ? 'pipe' : 'pipe.yaml');
    execFileSync('mkfifo', [pipe]);
    if (isLinked) await symlink('pipe', path.join(place, 'x.yaml'));
    const { mistakes } = await readAll([place]);
    const name = path.join(place, isLinked ? 'x.yaml' : 'pipe.yaml');
    expect(mistakes).toEqual([`${name}:1:1: is no file; if it is meant, name it by itself`]);
  }
});

it('says all that cannot be read, and where, and reads the rest', async () => {
  const { place } = await makeTree();
  await symlink('loop.yaml', path.join(place, 'loop.yaml'));
  await symlink('nowhere.yaml', path.join(place, 'none.yaml'));
  await writeFile(
    path.join(place, 'latin.yaml'),
    Buffer.from('# \u00fc\na: caf\u00e9\n', 'latin1'),
  );
  await writeFile(path.join(place, 'late.yaml'), Buffer.from([0x61, 0x0a, 0x62, 0x3a, 0xff]));
  await writeFile(path.join(place, 'large.yaml'), '#'.repeat(101));
  const { texts, mistakes } = await readAll([place], 100);
  expect(texts).toEqual(['a: 1\n']);
  expect(mistakes.map((line) => line.slice(place.length + 1))).toEqual([
    expect.stringMatching(/^loop\.yaml:1:1: ELOOP/u),
    expect.stringMatching(/^none\.yaml:1:1: ENOENT/u),
    expect.stringMatching(/^large\.yaml:1:1: .* more than 100 bytes/u),
    'late.yaml:2:3: it is not UTF-8',
    'latin.yaml:1:3: it is not UTF-8',
  ]);
});

it('reads what is named by itself, wherever a link leads', async () => {
  const { folder, place } = await makeTree();
  const link = path.join(place, 'x.yaml');
  await symlink('../secret.yaml', link);
  await expect(read([link])).resolves.toEqual(['token: secret\n']);
  await expect(read([path.join(folder, 'secret.yaml')])).resolves.toHaveLength(1);
});
