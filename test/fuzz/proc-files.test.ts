import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseMountId, parseMountIds } from '../../src/attest/workload/executable-path.ts';
import { parseNames } from '../../src/attest/workload/name-database.ts';
import { parseProcStatus } from '../../src/attest/workload/proc-status.ts';
import { parseStartTime } from '../../src/ops/process-stat.ts';

/** What a process may call itself: up to 15 bytes of anything but NUL. */
const comm = fc.oneof(
  fc
    .string({ minLength: 1, maxLength: 15, unit: 'binary' })
    .map((name) => name.replaceAll('\0', '_')),
  fc.constantFrom(') R 1 2 3', '((', '))', ') S 1 (', 'a b c', '\n(', 'Uid:\t0\t0', '\nUid:\t0'),
);
const id = fc.integer({ min: 0, max: 0xffff_fffe });
const field = fc.integer({ min: -1, max: 2 ** 31 });

describe('/proc/<pid>/stat', () => {
  it('has its start time in field 22, whatever the name (WLEP-9)', () => {
    const fields = fc.tuple(
      fc.integer({ min: 1, max: 4_194_304 }),
      comm,
      fc.array(field, { minLength: 18, maxLength: 18 }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.array(field, { minLength: 30, maxLength: 30 }),
    );
    fc.assert(
      fc.property(fields, ([pid, name, before, startTime, after]) => {
        const text = `${pid} (${name}) S ${before.join(' ')} ${startTime} ${after.join(' ')}\n`;
        expect(parseStartTime(text)).toBe(String(startTime));
      }),
    );
  });

  it('is refused, not guessed, when it is of another form', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(() => parseStartTime(text)).toThrow(
          expect.objectContaining({ code: 'ERR_INTERNAL' }),
        );
      }),
    );
  });
});

describe('/proc/<pid>/status', () => {
  /** As the kernel writes names there (proc_task_name): line feeds and backslashes are escaped. */
  const escaped = (name: string): string => name.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');

  it('gives effective IDs and groups, whatever the name (WLEP-9)', () => {
    const ids = fc.tuple(id, id, id, id);
    const groups = fc.array(id, { maxLength: 100 });
    fc.assert(
      fc.property(comm, ids, ids, groups, (name, uids, gids, supplementaryGids) => {
        const text = [
          `Name:\t${escaped(name)}`,
          'Umask:\t0022',
          `Uid:\t${uids.join('\t')}`,
          `Gid:\t${gids.join('\t')}`,
          'FDSize:\t64',
          `Groups:\t${supplementaryGids.map((gid) => `${gid} `).join('')}`,
          'NStgid:\t1',
          '',
        ].join('\n');
        expect(parseProcStatus(text)).toEqual({ uid: uids[1], gid: gids[1], supplementaryGids });
      }),
    );
  });

  it('is refused, not guessed, when it is of another form', () => {
    const line = fc.oneof(
      fc.string(),
      fc.constantFrom('Uid:', 'Uid:\t1', 'Gid:\t-1\t1', 'Groups:\tx'),
    );
    fc.assert(
      fc.property(
        fc.array(line).map((lines) => lines.join('\n')),
        (text) => {
          expect(() => parseProcStatus(text)).toThrow(
            expect.objectContaining({ code: 'ERR_ATTEST_PROC' }),
          );
        },
      ),
    );
  });

  it('is read as Node reads it for this process', () => {
    const { uid, gid, supplementaryGids } = parseProcStatus(
      readFileSync('/proc/self/status', 'latin1'),
    );
    expect([uid, gid]).toEqual([process.geteuid?.(), process.getegid?.()]);
    expect(new Set([...supplementaryGids, gid])).toEqual(
      new Set([...(process.getgroups?.() ?? []), gid]),
    );
  });
});

describe('/etc/passwd and /etc/group', () => {
  it('give the first name of an ID and skip what is not of the form', () => {
    const text = [
      '# root:x:0:',
      'root:x:0:0:root:/root:/bin/bash',
      'toor:x:0:0::/root:/bin/sh',
      '+nis:x:5:5:::',
      ':x:6:6:::',
      'short:x',
      'bad:x:-1:0:::',
      'bad:x:1e3:0:::',
      'bell\u0007:x:8:0:::',
      'domain users:x:10001:',
      'wide:*:4294967294:\r',
    ].join('\n');
    expect([...parseNames(text)]).toEqual([
      [0, 'root'],
      [10001, 'domain users'],
      [4294967294, 'wide'],
    ]);
  });

  it('never give a name with a control character or a colon', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), (head, tail) => {
        for (const name of parseNames(`${head}\n${tail}:x:1:`).values()) {
          expect(name).toMatch(/^[^\p{C}:]+$/u);
        }
      }),
    );
  });
});

describe('mount identifiers', () => {
  it('are read from fdinfo and mountinfo, whatever is mounted where', () => {
    expect(parseMountId('pos:\t0\nflags:\t0100000\nmnt_id:\t27\nino:\t5\n')).toBe('27');
    expect(parseMountId('pos:\t0\n')).toBeUndefined();
    const lines =
      '22 27 0:21 / /proc rw - proc proc rw\n127 22 8:1 / /mnt/a\\0404 rw - ext4 /dev/a rw\n';
    expect([...parseMountIds(lines)]).toEqual(['22', '127']);
    expect(parseMountIds('').size).toBe(0);
  });
});
