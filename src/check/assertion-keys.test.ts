import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { silentLog } from '../ops/index.ts';
import { advanceKeys, makeAssertionKey, parseKeys, serializeKeys } from './assertion-key-set.ts';
import { loadAssertionKeys, openAssertionKeys } from './assertion-keys.ts';

const HOUR = 3_600_000;
const start = 1_800_000_000_000;
let made = 0;
const randomBytes = (bytes: number) => new Uint8Array(bytes).fill(++made);
const make = (signsFrom: number) => makeAssertionKey(signsFrom, randomBytes);

let folder: string;
beforeEach(() => {
  const place = createRunFolder();
  onTestFinished(async () => await place.remove());
  folder = place.path;
});

describe('the keys of assertions', () => {
  it('follow each other by the day, each known an hour before and after it signs', () => {
    let keys = advanceKeys([], start, make);
    const at = (hours: number) => {
      keys = advanceKeys(keys, start + hours * HOUR, make);
      return keys.map(({ signsFrom }) => (signsFrom - start) / HOUR);
    };
    expect(at(0)).toEqual([0]);
    expect(at(22.9)).toEqual([0]);
    expect(at(23)).toEqual([0, 24]);
    expect(at(24)).toEqual([0, 24]);
    expect(at(24.9)).toEqual([0, 24]);
    expect(at(25)).toEqual([24]);
    // After a long pause the next one is known first, all the same.
    expect(at(200)).toEqual([24, 201]);
    expect(at(201)).toEqual([24, 201]);
    expect(at(202)).toEqual([201]);
  });

  it('are made anew where the clock was set back', () => {
    const late = advanceKeys([], start, make);
    const keys = advanceKeys(late, start - 100 * HOUR, make);
    expect(keys.map(({ signsFrom }) => signsFrom)).toEqual([start - 100 * HOUR]);
  });

  it('are kept in a file of their user alone, and told when the next one signs', async () => {
    const file = path.join(folder, 'keys.json');
    const clock = new FakeClock(start);
    const options = { file, clock, randomBytes, log: silentLog };
    const keys = await openAssertionKeys(options);
    const first = keys.current();
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const told: string[] = [];
    keys.watch(({ keyId }) => told.push(keyId));
    const later = async (ms: number): Promise<void> => {
      clock.advance(ms);
      await vi.waitFor(() => expect(clock.timers).toBe(1));
      clock.advance(60_000);
      await vi.waitFor(() => expect(clock.timers).toBe(1));
    };
    await later(23 * HOUR);
    expect(JSON.parse(keys.jwks()).keys).toHaveLength(2);
    expect(told).toEqual([]);
    await later(HOUR);
    expect(told).toHaveLength(1);
    await keys.close();
    const again = await openAssertionKeys(options);
    expect(again.current().keyId).toBe(told[0]);
    expect(again.jwks()).toBe(keys.jwks());
    expect(again.jwks()).toContain(first.keyId);
    expect(again.jwks()).not.toContain('"d"');
    await again.close();
  });

  it('are in memory alone without a file', async () => {
    const clock = new FakeClock(start);
    const keys = await openAssertionKeys({ file: undefined, clock, randomBytes, log: silentLog });
    expect(JSON.parse(keys.jwks()).keys).toEqual([
      expect.objectContaining({ kid: keys.current().keyId, alg: 'ES256', kty: 'EC', crv: 'P-256' }),
    ]);
    await keys.close();
    expect(clock.timers).toBe(0);
  });

  it('are refused in a file that others may read, or that holds something else', async () => {
    const file = path.join(folder, 'keys.json');
    const refused = expect.objectContaining({ code: 'ERR_ASSERTION_KEYS' });
    await writeFile(file, serializeKeys([make(0)]), { mode: 0o600 });
    expect(await loadAssertionKeys(file)).toHaveLength(1);
    await chmod(file, 0o640);
    await expect(loadAssertionKeys(file)).rejects.toEqual(refused);
    await chmod(file, 0o600);
    const text = await readFile(file, 'utf8');
    for (const other of ['', '{}', '[]', text.replace('1', '2'), text.replace('privateKey', 'x')]) {
      await writeFile(file, other);
      await expect(loadAssertionKeys(file)).rejects.toEqual(refused);
    }
    await expect(loadAssertionKeys(folder)).rejects.toEqual(refused);
    expect(await loadAssertionKeys(path.join(folder, 'none'))).toEqual([]);
  });

  it('come back from their file as they were', () => {
    const keys = [make(1), make(2)];
    expect(parseKeys(serializeKeys(keys))).toEqual(keys);
  });
});
