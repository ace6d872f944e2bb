import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { loadServerId, placeOf } from './server-id.ts';

function folder(): string {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'server-id-'));
  onTestFinished(() => rmSync(dataDir, { recursive: true }));
  return dataDir;
}

const load = (dataDir: string, serverId?: string, isShared = true) =>
  loadServerId({ dataDir, serverId }, isShared);

describe('loadServerId', () => {
  it('is made once, and another in each data directory', async () => {
    const [one, two] = [folder(), folder()];
    const id = await load(one);
    expect(id).toMatch(/^[0-9a-f]{10}$/u);
    expect(await load(one)).toBe(id);
    expect(await load(two)).not.toBe(id);
  });

  it('is "local" where the store is of one server, and where one was', async () => {
    expect(await load(folder(), undefined, false)).toBe('local');
    const moved = folder();
    mkdirSync(path.join(moved, 'keys'));
    writeFileSync(path.join(moved, 'keys', 'x509-1.key'), '');
    expect(await load(moved)).toBe('local');
    rmSync(path.join(moved, 'keys'), { recursive: true });
    expect(await load(moved)).toBe('local');
  });

  it('is what is configured, for good', async () => {
    const dataDir = folder();
    expect(await load(dataDir, 'eu-1')).toBe('eu-1');
    expect(await load(dataDir)).toBe('eu-1');
    await expect(load(dataDir, 'eu-2')).rejects.toMatchObject({ code: 'ERR_SERVER_ID' });
    const used = folder();
    writeFileSync(path.join(used, 'trustplane.db'), '');
    await expect(load(used, 'eu-2')).rejects.toMatchObject({ code: 'ERR_SERVER_ID' });
    expect(await load(used, 'local')).toBe('local');
  });

  it('is refused when the file holds something else', async () => {
    const dataDir = folder();
    writeFileSync(path.join(dataDir, 'server-id'), 'no id\n');
    await expect(load(dataDir)).rejects.toMatchObject({ code: 'ERR_SERVER_ID' });
    expect(readFileSync(path.join(dataDir, 'server-id'), 'utf8')).toBe('no id\n');
  });
});

describe('placeOf', () => {
  it('differs between directories and stays the same of one', async () => {
    const [one, two] = [folder(), folder()];
    const place = await placeOf(one);
    expect(place).toMatch(/^[A-Za-z0-9_-]{22}$/u);
    expect(await placeOf(one)).toBe(place);
    expect(await placeOf(two)).not.toBe(place);
    expect(await placeOf(path.join(one, 'missing'))).toBeUndefined();
  });
});
