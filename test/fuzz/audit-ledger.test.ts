import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseRecord, readHead, type Verification, verifyLedger } from '../../src/audit/index.ts';
import { AuditPlace, issuance } from '../fakes/audit-place.ts';

const RUNS = 50;

/** A ledger of several files, of which each property spoils a copy. */
let original: AuditPlace;
let names: readonly string[];

beforeAll(async () => {
  original = new AuditPlace();
  const ledger = await original.open({ maxFileBytes: 2_500 });
  for (let number = 1; number <= 40; number++) await ledger.record([issuance(number)]);
  await ledger.close();
  names = readdirSync(original.folder).sort();
});

afterAll(() => original[Symbol.dispose]());

/** What verify says of a copy that was spoiled; and whether a server that starts on it says so, too. */
async function verifySpoiled(
  spoil: (folder: string, files: readonly string[]) => void,
): Promise<Verification> {
  const root = mkdtempSync(path.join(tmpdir(), 'audit-'));
  try {
    const folder = path.join(root, 'audit');
    mkdirSync(folder);
    for (const name of names)
      copyFileSync(path.join(original.folder, name), path.join(folder, name));
    spoil(
      folder,
      names.map((name) => path.join(folder, name)),
    );
    const { head } = await readHead(original);
    return await verifyLedger({ folder, head });
  } finally {
    rmSync(root, { recursive: true });
  }
}

const anyFile = fc.nat().map((index) => index % 8);
const pick = <T>(items: readonly T[], index: number): T => {
  const item = items[index % items.length];
  if (item === undefined) throw new Error('nothing to pick from');
  return item;
};

describe('audit verify', () => {
  it('finds nothing where nothing was changed', async () => {
    expect(names.length).toBeGreaterThan(6);
    expect(await verifySpoiled(() => {})).toMatchObject({ findings: [], records: 41 });
  });

  it('finds any byte that was changed, and says where', async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, fc.nat(), fc.integer({ min: 1, max: 255 }), async (f, at, by) => {
        let line = 0;
        let file = '';
        const { findings } = await verifySpoiled((_, files) => {
          file = pick(files, f);
          const bytes = readFileSync(file);
          const offset = at % bytes.length;
          line = bytes.subarray(0, offset).toString('latin1').split('\n').length;
          bytes[offset] = (bytes[offset] ?? 0) ^ by;
          writeFileSync(file, bytes);
        });
        expect(findings).not.toEqual([]);
        const [first] = findings;
        const isNext = first?.file !== path.basename(file) && first?.line === 1;
        expect(isNext || [line, line + 1].includes(first?.line ?? -1)).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });

  it('says of a line that was changed that the next one does not fit it', async () => {
    const { findings } = await verifySpoiled((_, [file = '']) => {
      writeFileSync(file, readFileSync(file, 'utf8').replace('"what":"begun"', '"what":"BEGUN"'));
    });
    expect(findings).toEqual([
      {
        file: names[0],
        line: 2,
        what: 'the hash in it is not that of record 1, the line before it: one of the two was changed',
      },
    ]);
  });

  it('finds lines that were removed, doubled or exchanged', async () => {
    const acts = fc.constantFrom('remove', 'double', 'exchange');
    await fc.assert(
      fc.asyncProperty(anyFile, fc.nat(), acts, async (f, at, act) => {
        const { findings } = await verifySpoiled((_, files) => {
          const file = pick(files.slice(0, -1), f);
          const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
          const index = at % lines.length;
          if (act === 'remove') lines.splice(index, 1);
          if (act === 'double') lines.splice(index, 0, pick(lines, index));
          if (act === 'exchange') {
            const other = (index + 1) % lines.length;
            [lines[index], lines[other]] = [pick(lines, other), pick(lines, index)];
          }
          writeFileSync(file, lines.map((text) => `${text}\n`).join(''));
        });
        expect(findings).not.toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  it('finds a file that was cut, at any point, and at the end of each line', async () => {
    const ends = names.flatMap((name, file) => {
      const bytes = readFileSync(path.join(original.folder, name));
      const offsets = [...bytes.keys()].filter((offset) => bytes[offset] === 0x0a);
      // The last end of a file is no cut.
      return [0, ...offsets.slice(0, -1).map((offset) => offset + 1)].map((at) => ({ file, at }));
    });
    for (const { file, at } of ends) {
      const { findings } = await verifySpoiled((_, files) => truncateSync(pick(files, file), at));
      expect([file, at, findings.length > 0]).toEqual([file, at, true]);
    }
    await fc.assert(
      fc.asyncProperty(anyFile, fc.nat(), async (f, at) => {
        const { findings } = await verifySpoiled((_, files) => {
          const file = pick(files, f);
          truncateSync(file, at % readFileSync(file).length);
        });
        expect(findings).not.toEqual([]);
      }),
      { numRuns: RUNS },
    );
  });

  it('finds each file that was removed, the last and all of them too', async () => {
    for (const index of names.keys()) {
      const { findings } = await verifySpoiled((_, files) => rmSync(pick(files, index)));
      expect([index, findings.length > 0]).toEqual([index, true]);
      const rest = await verifySpoiled((_, files) => {
        for (const file of files.slice(index)) rmSync(file);
      });
      expect([index, rest.findings.length > 0]).toEqual([index, true]);
    }
  });

  it('finds files that were exchanged, or are called otherwise', async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, anyFile, async (a, b) => {
        fc.pre(a % names.length !== b % names.length);
        const { findings } = await verifySpoiled((folder, files) => {
          const other = path.join(folder, 'other');
          renameSync(pick(files, a), other);
          renameSync(pick(files, b), pick(files, a));
          renameSync(other, pick(files, b));
        });
        expect(findings).not.toEqual([]);
      }),
      { numRuns: 50 },
    );
  });

  it('finds a tail that was written anew, chained as it should be', async () => {
    using forged = new AuditPlace();
    const ledger = await forged.open({ maxFileBytes: 2_500 });
    for (let number = 101; number <= 140; number++) await ledger.record([issuance(number)]);
    await ledger.close();
    const { findings } = await verifySpoiled((folder) => {
      for (const name of names) rmSync(path.join(folder, name));
      for (const name of readdirSync(forged.folder))
        copyFileSync(path.join(forged.folder, name), path.join(folder, name));
    });
    expect(findings).not.toEqual([]);
  });

  it('finds any byte of the head record that was changed', async () => {
    using place = new AuditPlace();
    const ledger = await place.open();
    await ledger.record([issuance(1)]);
    await ledger.close();
    const bytes = readFileSync(place.headFile);
    await fc.assert(
      fc.asyncProperty(
        fc.nat(bytes.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, by) => {
          const changed = Buffer.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ by;
          writeFileSync(place.headFile, changed);
          expect((await place.verify()).findings).not.toEqual([]);
        },
      ),
      { numRuns: RUNS },
    );
  });
});

describe('a server that starts on a ledger that was spoiled', () => {
  it('goes on, says so in the ledger, and what it records from then on verifies', async () => {
    await fc.assert(
      fc.asyncProperty(anyFile, fc.nat(), fc.integer({ min: 1, max: 255 }), async (f, at, by) => {
        using place = new AuditPlace();
        const before = await place.open({ maxFileBytes: 2_500 });
        for (let number = 1; number <= 12; number++) await before.record([issuance(number)]);
        await before.close();
        const files = readdirSync(place.folder).sort();
        const file = path.join(place.folder, pick(files, f));
        const bytes = readFileSync(file);
        const offset = at % bytes.length;
        bytes[offset] = (bytes[offset] ?? 0) ^ by;
        writeFileSync(file, bytes);
        const damaged = (await place.verify()).findings.length;
        const ledger = await place.open({ maxFileBytes: 2_500 });
        await ledger.record([issuance(13), issuance(14)]);
        const { findings } = await ledger.verify();
        await ledger.close();
        expect(damaged).toBeGreaterThan(0);
        expect(findings.length).toBeGreaterThanOrEqual(damaged);
        expect(findings.length).toBeLessThanOrEqual(damaged + 2);
      }),
      { numRuns: 25 },
    );
  });
});

describe('parseRecord', () => {
  it('reads back what was written and throws an Error for any other bytes', () => {
    const [name = ''] = names;
    const [line = ''] = readFileSync(path.join(original.folder, name), 'utf8').split('\n');
    expect(parseRecord(Buffer.from(line)).sequenceNumber).toBe(1);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => parseRecord(bytes)).toThrow(Error);
      }),
    );
    fc.assert(
      fc.property(fc.json(), fc.nat(), fc.nat(), (event, seq, at) => {
        const text = `{"seq":${seq},"at":${at},"prev":"${'0'.repeat(64)}","event":${event}}`;
        expect(() => parseRecord(Buffer.from(text))).toThrow(Error);
      }),
    );
  });
});
