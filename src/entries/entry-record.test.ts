import { describe, expect, it } from 'vitest';
import { testEntry, testTrustDomain } from '../../test/fakes/test-entries.ts';
import { decodeEntryRecord, encodeEntryRecord, entryKey } from './entry-record.ts';

const entry = testEntry('web', ['unix:uid:1', 'unix:path:/bin/x'], {
  id: 'cluster.0b1e',
  federatesWith: ['b.test'],
  dnsNames: ['w.test', 'a.test'],
  hint: 'internal',
  downstream: true,
  expiresAtSeconds: 1_900_000_000,
  revisionNumber: 3,
});
const key = entryKey(entry);
const encode = (record: unknown) => Buffer.from(JSON.stringify(record));
const stored = (): Record<string, unknown> =>
  JSON.parse(Buffer.from(encodeEntryRecord({ entry, firstRevision: 7 })).toString());

describe('entryKey', () => {
  it('is one store token and does not depend on the order of selectors', () => {
    expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/u);
    expect(entryKey({ ...entry, selectors: entry.selectors.toReversed() })).toBe(key);
  });

  it('differs with parent, ID and each selector, however the texts are cut', () => {
    const keys = [
      entry,
      testEntry('web2', ['unix:uid:1', 'unix:path:/bin/x']),
      testEntry('web', ['unix:uid:1']),
      testEntry('web', ['unix:uid:1', 'unix:path:/bin/x'], { parentId: 'spiffe://a.test/p' }),
      testEntry('web', ['docker:a', 'docker:b']),
      testEntry('web', ['docker:a,docker:b']),
      testEntry('web', ['docker:a"', 'docker:b']),
    ].map(entryKey);
    expect(new Set(keys).size).toBe(keys.length);
  });
});

describe('the record of an entry', () => {
  it('reads what it wrote', () => {
    for (const firstRevision of [7, undefined]) {
      const value = encodeEntryRecord({ entry, firstRevision });
      expect(decodeEntryRecord(key, value, testTrustDomain)).toEqual({ entry, firstRevision });
    }
  });

  it('is refused above 64 KiB as a whole', () => {
    const selectors = Array.from({ length: 20 }, (_, i) => `k8s:${i}:${'x'.repeat(4000)}`);
    expect(() =>
      encodeEntryRecord({ entry: testEntry('big', selectors), firstRevision: undefined }),
    ).toThrow('65536');
  });

  it('is refused with any member missing or of another type, naming it', () => {
    const optional = ['expiresAt', 'firstRevision'];
    for (const name of Object.keys(stored())) {
      for (const value of [null, -1, {}, [1], optional.includes(name) ? '' : undefined]) {
        const read = () =>
          decodeEntryRecord(key, encode({ ...stored(), [name]: value }), testTrustDomain);
        expect(read).toThrow(name === 'v' ? /\bv: |version/u : `${name}: expected`);
      }
    }
  });

  it.each<[string, () => Uint8Array]>([
    ['no object', () => encode([stored()])],
    ['nothing', () => encode(null)],
    ['an empty ID', () => encode({ ...stored(), id: '' })],
    ['no selectors', () => encode({ ...stored(), selectors: [] })],
    ['no JSON', () => Buffer.from('{')],
    ['no UTF-8', () => Buffer.from([0x22, 0xff, 0x22])],
    ['a newer version', () => encode({ ...stored(), v: 2 })],
    ['a missing member', () => encode({ ...stored(), hint: undefined })],
    ['an unknown member', () => encode({ ...stored(), extra: 1 })],
    ['a fraction', () => encode({ ...stored(), x509SvidTtl: 1.5 })],
    ['another trust domain', () => encode({ ...stored(), spiffeId: 'spiffe://b.test/web' })],
    ['a malformed ID', () => encode({ ...stored(), parentId: 'spiffe://a.test/a//b' })],
    [
      'another identity than its key',
      () => encode({ ...stored(), spiffeId: 'spiffe://a.test/other' }),
    ],
  ])('is refused with %s, naming the key', (_, make) => {
    expect(() => decodeEntryRecord(key, make(), testTrustDomain)).toThrow(
      expect.objectContaining({ code: 'ERR_ENTRY_RECORD', message: expect.stringContaining(key) }),
    );
  });
});
