import { execFileSync } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { testEntry } from '../../test/fakes/test-entries.ts';
import { exportAll } from './export-command.ts';
import { processIo } from './io.ts';

const client = {
  async *export() {
    yield { entries: [testEntry('web', ['unix:uid:1'])], relationships: [] };
  },
};
const io = { ...processIo, out: () => {} };
const exportTo = (out: string) =>
  exportAll(io, client, { out, output: 'text', adminSocket: '/nowhere' });

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'trustplane-export-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

it('writes into a directory that is there, whether or not its name ends in /', async () => {
  for (const end of ['', '/', '/new/']) {
    const folder = `${await makeFolder()}${end}`;
    await exportTo(folder);
    expect(await readdir(folder)).toEqual(['entries.yaml']);
  }
});

it('writes a file', async () => {
  const file = path.join(await makeFolder(), 'state.yaml');
  for (let turn = 0; turn < 2; turn++) await exportTo(file);
  expect(await readFile(file, 'utf8')).toContain('kind: RegistrationEntry\n');
});

it('says where nothing can be written, and why', async () => {
  const folder = await makeFolder();
  await writeFile(path.join(folder, 'file'), 'as it was');
  execFileSync('mkfifo', [path.join(folder, 'pipe')]);
  const cases = [
    ['file/', 'ERR_FILE_WRITE'],
    ['file/below', 'ERR_FILE_WRITE'],
    ['none/state.yaml', 'ERR_FILE_WRITE'],
    ['pipe', 'ERR_USAGE'],
  ] as const;
  for (const [out, code] of cases) {
    const message = expect.stringContaining(path.join(folder, out));
    await expect(exportTo(`${folder}/${out}`)).rejects.toMatchObject({ code, message });
  }
  expect(await readFile(path.join(folder, 'file'), 'utf8')).toBe('as it was');
});
