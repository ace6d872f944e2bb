import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import type { ErrorCode } from '../spiffe/index.ts';
import { FactJournal, journalLimits } from './fact-journal.ts';
import { JournalFile } from './journal-file.ts';
import type { JournalChange } from './journal-line.ts';

const ERA = '0123456789abcdef';
const code = (is: ErrorCode) => expect.objectContaining({ code: is });

function place() {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  const clock = new FakeClock();
  const file = path.join(folder.path, 'facts.journal');
  const open = async (trustDomain = 'a.test'): Promise<FactJournal> => {
    const journal = await FactJournal.open({ path: file, trustDomain, clock });
    onTestFinished(() => journal.close().catch(() => {}));
    return journal;
  };
  return { clock, file, open };
}

function fact(key: string, revision: number, value: string | undefined = 'v', expiresAt?: number) {
  const bytes = value === undefined ? undefined : new Uint8Array(Buffer.from(value));
  return {
    type: 'fact',
    bucket: 'agents',
    key,
    era: ERA,
    revision,
    expiresAt,
    value: bytes,
  } as const;
}
const era: JournalChange = { type: 'era', era: ERA };
const deleted = (key: string, revision: number) =>
  ({ ...fact(key, revision), value: undefined }) as const;

describe('a journal of facts', () => {
  it('is private, and new once', async () => {
    const { file, open } = place();
    const journal = await open();
    expect(journal.isNew).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    await journal.close();
    const again = await open();
    expect(again.isNew).toBe(false);
    expect(again.id).toBe(journal.id);
  });

  it('knows after it was closed what it was told', async () => {
    const { open } = place();
    const journal = await open();
    await journal.note([era, fact('a', 3), fact('b', 4, 'other')]);
    await journal.note([fact('a', 5, 'later'), deleted('c', 6)]);
    await journal.close();
    const again = await open();
    expect(again.era).toBe(ERA);
    expect(again.seen('agents')).toBe(6);
    expect(again.at('agents', 'c')?.isDeleted).toBe(true);
    expect(Buffer.from((await again.read('agents', 'a'))?.value ?? []).toString()).toBe('later');
    expect((await again.read('agents', 'b'))?.revision).toBe(4);
    expect(await again.read('agents', 'd')).toBeUndefined();
  });

  it('reads a fact while it is being written', async () => {
    const journal = await place().open();
    const noted = journal.note([era, fact('a', 1, 'now')]);
    expect((await journal.read('agents', 'a'))?.revision).toBe(1);
    await noted;
  });

  it('forgets what it is told to, and what has expired', async () => {
    const { clock, open } = place();
    const journal = await open();
    await journal.note([era, fact('a', 1), fact('b', 2, 'v', clock.now() + 1_000)]);
    await journal.note([{ type: 'forget', bucket: 'agents', key: 'a' }]);
    await journal.close();
    clock.advance(1_000);
    expect([...(await open()).of('agents').keys()]).toEqual([]);
  });

  it('is written anew when little of it counts', async () => {
    const { file, open } = place();
    const journal = await open();
    const value = 'x'.repeat(200_000);
    await journal.note([era, fact('kept', 1)]);
    for (let revision = 2; revision < 40; revision++) {
      await journal.note([fact('a', revision, `${revision}${value}`)]);
    }
    expect(statSync(file).size).toBeLessThan(journalLimits.leastBytes + 300_000);
    const latest = Buffer.from((await journal.read('agents', 'a'))?.value ?? []).toString();
    expect(latest).toBe(`39${value}`);
    expect((await journal.read('agents', 'kept'))?.revision).toBe(1);
    await journal.note([fact('b', 40)]);
    await journal.close();
    const again = await open();
    expect(again.id).toBe(journal.id);
    expect([again.era, again.seen('agents')]).toEqual([ERA, 40]);
    expect([...again.of('agents').keys()].sort()).toEqual(['a', 'b', 'kept']);
  });
});

it('is read while it is written anew', async () => {
  const { open } = place();
  const journal = await open();
  const value = 'x'.repeat(500_000);
  await journal.note([era, fact('kept', 1)]);
  const over = new AbortController();
  const read = async (): Promise<void> => {
    while (!over.signal.aborted) expect((await journal.read('agents', 'kept'))?.revision).toBe(1);
  };
  const readers = Array.from({ length: 8 }, read);
  for (let revision = 2; revision < 60; revision++) {
    await journal.note([fact('a', revision, value)]);
  }
  over.abort();
  await Promise.all(readers);
});

it('keeps what is being changed while it is written anew', async () => {
  const { file, open } = place();
  const journal = await open();
  const value = 'x'.repeat(1_000_000);
  await journal.note([era, fact('kept', 1), fact('a', 2, value)]);
  await journal.note([fact('a', 3, value)]);
  await journal.note([fact('a', 4, value)]);
  const anew = journal.note([fact('a', 5, value)]);
  await Promise.resolve();
  void journal.note([fact('kept', 6)]);
  await anew;
  const copy = `${file}.copy`;
  writeFileSync(copy, readFileSync(file));
  const other = await FactJournal.open({
    path: copy,
    trustDomain: 'a.test',
    clock: new FakeClock(),
  });
  const kept = (await other.read('agents', 'kept'))?.revision;
  await other.close();
  expect(kept).toBeGreaterThan(0);
});

describe('a journal on a disk that failed', () => {
  it('is written again by itself, also when it only has to say how far it saw', async () => {
    const { clock, file } = place();
    const told: (string | undefined)[] = [];
    const onWrites = (fault: string | undefined): void => void told.push(fault);
    const journal = await FactJournal.open({ path: file, trustDomain: 'a.test', clock, onWrites });
    onTestFinished(() => journal.close());
    await journal.note([era]);
    const append = vi.spyOn(JournalFile.prototype, 'append').mockRejectedValue(new Error('full'));
    onTestFinished(() => append.mockRestore());
    journal.saw('agents', 7);
    await clock.advanceAsync(journalLimits.seenMs);
    expect(told).toEqual(['full']);
    // 250 ms, 500 ms, 1 s and so on, to 5 s.
    await clock.advanceAsync(60_000);
    expect(append.mock.calls.length).toBeGreaterThan(10);
    expect(append.mock.calls.length).toBeLessThan(20);
    append.mockRestore();
    await clock.advanceAsync(journalLimits.retryMs);
    await vi.waitFor(() => expect(told).toEqual(['full', undefined]));
    await journal.close();
    const again = await FactJournal.open({ path: file, trustDomain: 'a.test', clock });
    expect(again.seen('agents')).toBe(7);
    await again.close();
  });

  it('has all but the write that a crash cut off', async () => {
    const { file, open } = place();
    const journal = await open();
    await journal.note([era, fact('a', 1)]);
    const whole = statSync(file).size;
    await journal.note([fact('b', 2)]);
    await journal.close();
    const bytes = readFileSync(file);
    for (let end = whole; end < bytes.length; end++) {
      writeFileSync(file, bytes.subarray(0, end));
      const again = await open();
      expect([...again.of('agents').keys()]).toEqual(['a']);
      await again.note([fact('c', 3)]);
      await again.close();
      const third = await open();
      expect([...third.of('agents').keys()]).toEqual(['a', 'c']);
      await third.close();
    }
  });

  it('is refused, and left as it is, when something before its end was changed', async () => {
    const { file, open } = place();
    const journal = await open();
    await journal.note([era, fact('a', 1)]);
    const end = statSync(file).size;
    await journal.note([fact('b', 2)]);
    await journal.close();
    const bytes = readFileSync(file);
    for (let at = 0; at < end; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 0x10;
      writeFileSync(file, changed);
      await expect(open(), `byte ${at}`).rejects.toEqual(code('ERR_JOURNAL_DAMAGED'));
      expect(readFileSync(file).equals(changed)).toBe(true);
    }
  });

  it('is refused when it is empty, or of another trust domain', async () => {
    const { file, open } = place();
    await (await open()).close();
    await expect(open('b.test')).rejects.toEqual(code('ERR_JOURNAL_TRUST_DOMAIN'));
    truncateSync(file, 0);
    await expect(open()).rejects.toEqual(code('ERR_JOURNAL_DAMAGED'));
  });

  it('ignores zeros that a crash left behind its end', async () => {
    const { file, open } = place();
    const journal = await open();
    await journal.note([era, fact('a', 1)]);
    await journal.close();
    appendFileSync(file, Buffer.alloc(5_000));
    expect([...(await open()).of('agents').keys()]).toEqual(['a']);
  });
});
