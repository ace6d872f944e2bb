import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import { processIo } from './io.ts';
import { loadDocuments } from './load-documents.ts';

const client = { trustDomain: async () => testTrustDomain };

async function load(files: Readonly<Record<string, string>>, mayBeNone = false) {
  const place = await mkdtemp(path.join(tmpdir(), 'trustplane-load-'));
  onTestFinished(() => rm(place, { recursive: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(place, name), text);
  const notes: string[] = [];
  const io = { ...processIo, err: (text: string) => void notes.push(text) };
  const loaded = () => loadDocuments(io, client, [place], mayBeNone);
  return { place, loaded, notes };
}

it('says that there is no document, unless there may be none', async () => {
  const nothing = { 'a.yaml': '# nothing\n---\n', 'notes.txt': 'kind: RegistrationEntry\n' };
  const { place, loaded } = await load(nothing);
  await expect(loaded()).rejects.toMatchObject({
    code: 'ERR_APPLY_DOCUMENT',
    message: `${place}: there is no document\n1 mistake; nothing was changed`,
  });
  const allowed = await load(nothing, true);
  await expect(allowed.loaded()).resolves.toEqual({ entries: [], relationships: [] });
});

it('takes documents that are left out for documents', async () => {
  const { loaded, notes } = await load({ 'a.yaml': 'apiVersion: trustplane/v1\nkind: Policy\n' });
  await expect(loaded()).resolves.toEqual({ entries: [], relationships: [] });
  expect(notes).toHaveLength(1);
});

it('tells mistakes in files beside mistakes of documents', async () => {
  const { place, loaded } = await load({ 'a.yaml': 'kind: Secret\n' });
  await symlink('nowhere', path.join(place, 'b.yaml'));
  await expect(loaded()).rejects.toMatchObject({
    message: expect.stringMatching(
      /b\.yaml:1:1: ENOENT.*\n.*a\.yaml:1:1: apiVersion.*\n.*a\.yaml:1:7: kind.*\n3 mistakes; nothing was changed$/u,
    ),
  });
});
