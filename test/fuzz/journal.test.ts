import { writeFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { parseBackup } from '../../src/backup/index.ts';
import { FactJournal } from '../../src/journal/index.ts';
import { buildFrame, readFrames } from '../../src/journal/journal-frame.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const folder = createRunFolder();
afterAll(() => folder.remove());
const bodies = fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 6 });

function read(file: Uint8Array): { readonly bodies: readonly string[]; readonly end: number } {
  const found: string[] = [];
  const end = readFrames(Buffer.from(file), 'it', ({ body }) => found.push(body.toString('hex')));
  return { bodies: found, end };
}

function attempt<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    return error instanceof TrustplaneError ? error.code : 'no error of ours';
  }
}

describe('frames of a journal', () => {
  const hex = (all: readonly Uint8Array[]) => all.map((body) => Buffer.from(body).toString('hex'));

  it('are read as they were written', () => {
    fc.assert(
      fc.property(bodies, (all) => {
        const file = Buffer.concat(all.map(buildFrame));
        expect(read(file)).toEqual({ bodies: hex(all), end: file.length });
      }),
    );
  });

  it('that are cut off anywhere are those that were whole', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), (all, cut) => {
        const file = Buffer.concat(all.map(buildFrame));
        const found = read(file.subarray(0, cut % file.length)).bodies;
        expect(found).toEqual(hex(all).slice(0, found.length));
        expect(found.length).toBeLessThan(all.length);
      }),
    );
  });

  it('that were changed before the last are refused, and in the last are left out or refused', () => {
    fc.assert(
      fc.property(bodies, fc.nat(), fc.integer({ min: 1, max: 255 }), (all, at, change) => {
        const file = Buffer.concat(all.map(buildFrame));
        const last = file.length - buildFrame(all.at(-1) ?? new Uint8Array()).length;
        const place = at % file.length;
        file[place] = (file[place] ?? 0) ^ change;
        const found = attempt(() => read(file));
        const cut = { bodies: hex(all.slice(0, -1)), end: last };
        expect(found).toEqual(place < last ? 'ERR_JOURNAL_DAMAGED' : cut);
      }),
      { numRuns: 500 },
    );
  });
});

describe('files that are anything', () => {
  const errorOf = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => undefined,
      (error: unknown) => error,
    );
  const lines = fc.array(
    fc.oneof(
      fc.string({ maxLength: 80 }),
      fc.constantFrom(
        '{"journal":1,"id":"0123456789abcdef","trustDomain":"a.test"}',
        '{"era":"0123456789abcdef"}',
        '{"seen":"agents","r":3}',
        '{"forget":"k","b":"agents"}',
        '{"b":"agents","k":"k","e":"0123456789abcdef","r":1,"v":"AAAA"}',
        '{"b":"agents","k":"k","e":"0123456789abcdef","r":-1}',
        '{"b":"agents","k":"k","e":"0123456789abcdef","r":1,"more":1}',
        '{"trustplaneBackup":1,"trustDomain":"a.test","serverVersion":"1","serverId":"local","createdAt":1,"era":"0123456789abcdef"}',
        '{"bucket":"agents","revision":1}',
        '{"k":"k","r":1,"v":"AAAA"}',
        '{"lines":1,"sha256":"00"}',
      ),
    ),
    { maxLength: 8 },
  );

  it('are refused by the journal with an error of ours, or read', async () => {
    const file = path.join(folder.path, 'journal');
    await fc.assert(
      fc.asyncProperty(lines, fc.boolean(), async (all, isFramed) => {
        const body = Buffer.from(`${all.join('\n')}\n`);
        writeFileSync(file, isFramed ? buildFrame(body) : body);
        const clock = new FakeClock();
        const opening = FactJournal.open({ path: file, trustDomain: 'a.test', clock });
        const error = await errorOf(opening.then((journal) => journal.close()));
        expect(error === undefined || error instanceof TrustplaneError).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('are refused by a restore with an error of ours', async () => {
    const file = path.join(folder.path, 'backup');
    await fc.assert(
      fc.asyncProperty(lines, async (all) => {
        writeFileSync(file, `${all.join('\n')}\n`);
        const error = await errorOf(parseBackup(file));
        expect(error).toMatchObject({ code: 'ERR_BACKUP_DAMAGED' });
      }),
      { numRuns: 300 },
    );
  });
});
