import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { makeNatsFolder } from './make-nats-folder.ts';

it('makes a folder, takes one that is there, and says when a file is in its place', async () => {
  const root = mkdtempSync(join(tmpdir(), 'trustplane-nats-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const folder = join(root, 'a', 'b');
  await makeNatsFolder(folder);
  await makeNatsFolder(folder);
  expect(statSync(folder).isDirectory()).toBe(true);
  const file = join(root, 'file');
  writeFileSync(file, '');
  await expect(makeNatsFolder(file)).rejects.toMatchObject({
    code: 'ERR_FILE_WRITE',
    message: expect.stringContaining(`${file} is no folder`),
  });
});
