import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEntryFilter } from '../../src/api/entry-filter-message.ts';
import { parseEntryDraft, parseEntryEdit } from '../../src/api/entry-messages.ts';
import { draftOf, parseEntry } from '../../src/entries/entry.ts';
import { EntryGraph } from '../../src/entries/entry-graph.ts';
import { listEntries } from '../../src/entries/entry-page.ts';
import { decodeEntryRecord, encodeEntryRecord, entryKey } from '../../src/entries/entry-record.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { buildEntryMessage } from '../../src/sync/index.ts';
import { messageType } from '../../src/wire/index.ts';
import { testEntry, testTrustDomain } from '../fakes/test-entries.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const rules = { trustDomain: testTrustDomain, now };
const stamp = { id: 'x', revisionNumber: 0, createdAt: now };

/** The outcome of a parser that may only succeed or refuse on purpose. */
function outcome<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof TrustplaneError) || error.code === 'ERR_INTERNAL') throw error;
    return undefined;
  }
}

/** Mostly the good, some of the bad, and noise. */
const text = (good: readonly string[], bad: readonly string[] = []) =>
  fc.oneof(
    { weight: 60, arbitrary: fc.constantFrom(...good) },
    { weight: 2, arbitrary: fc.constantFrom(...good, ...bad) },
    { weight: 1, arbitrary: fc.string({ unit: 'binary' }) },
  );
const rarely = <T>(bad: fc.Arbitrary<T>, good: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 1, arbitrary: bad }, { weight: 20, arbitrary: good });
const wireIdWith = (paths: readonly string[]) =>
  fc.record({
    trust_domain: text(['a.test'], ['b.test']),
    path: text(paths, ['', '/spire', '//', '/a/..']),
  });
const wireId = wireIdWith(['/a', '/b', '/spire/server']);
const wireSelector = fc.record({
  type: text(['unix'], ['k8s', 'x']),
  value: text(['uid:1', 'path:/x', 'user:y'], ['gid:01', 'path:', 'sha256:0', ':']),
});
const ttl = rarely(fc.integer(), fc.nat({ max: 9000 }));
const wireEntry = fc.record({
  spiffe_id: wireIdWith(['/a', '/b']),
  parent_id: wireIdWith(['/p', '/spire/server', '/spire/agent/x/y']),
  selectors: fc.array(wireSelector, { maxLength: 4 }),
  x509_svid_ttl: ttl,
  jwt_svid_ttl: ttl,
  federates_with: fc.array(text(['b.test', 'spiffe://c.test'], ['a.test', '']), { maxLength: 3 }),
  dns_names: fc.array(text(['a.test', '*.b.test'], ['*', 'A.test']), { maxLength: 3 }),
  hint: text(['', 'internal']),
  store_svid: fc.boolean(),
  expires_at: rarely(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    fc.constantFrom('0', '1900000000'),
  ),
});

describe('an entry from outside', () => {
  it('is refused on purpose, or survives every form it takes', () => {
    const type = messageType('spire/api/types/entry.proto', 'spire.api.types.Entry');
    let accepted = 0;
    fc.assert(
      fc.property(wireEntry, (wire) => {
        const entry = outcome(() => parseEntry(parseEntryDraft(wire), stamp, rules));
        if (entry === undefined) return;
        accepted++;
        expect(parseEntry(draftOf(entry), stamp, rules)).toEqual(entry);
        const record = encodeEntryRecord({ entry, firstRevision: 3 });
        expect(decodeEntryRecord(entryKey(entry), record, testTrustDomain).entry).toEqual(entry);
        const bytes = type.encode(type.fromObject(buildEntryMessage(entry))).finish();
        const seen = type.toObject(type.decode(bytes), { longs: String, arrays: true });
        expect(parseEntry(parseEntryDraft(seen), stamp, rules)).toEqual(entry);
      }),
      { numRuns: 3000 },
    );
    expect(accepted).toBeGreaterThan(300);
  });

  it('sets by an update what its mask names and nothing else', () => {
    const mask = fc.record({
      hint: fc.boolean(),
      dns_names: fc.boolean(),
      spiffe_id: fc.boolean(),
      expires_at: fc.boolean(),
    });
    const fields = {
      hint: 'hint',
      dns_names: 'dnsNames',
      spiffe_id: 'spiffeId',
      expires_at: 'expiresAtSeconds',
    } as const;
    fc.assert(
      fc.property(wireEntry, mask, (wire, given) => {
        const edit = outcome(() => parseEntryEdit(wire, given));
        if (edit === undefined) return;
        const wanted = Object.entries(fields).filter(
          ([field]) => Reflect.get(given, field) === true,
        );
        expect(Object.keys(edit).sort()).toEqual(wanted.map(([, name]) => name).sort());
      }),
    );
  });
});

describe('a stored record', () => {
  const entry = testEntry('web', ['unix:uid:1', 'k8s:ns:x'], {
    hint: 'h',
    federatesWith: ['b.test'],
  });
  const key = entryKey(entry);
  const good = Buffer.from(encodeEntryRecord({ entry, firstRevision: 3 }));

  it('that is damaged is refused on purpose, or still holds the same identity', () => {
    const damage = fc.record({
      at: fc.nat({ max: good.length - 1 }),
      byte: fc.nat({ max: 255 }),
      cut: fc.boolean(),
    });
    fc.assert(
      fc.property(damage, ({ at, byte, cut }) => {
        const bad = Buffer.from(cut ? good.subarray(0, at) : good);
        if (!cut) bad[at] = byte;
        const record = outcome(() => decodeEntryRecord(key, bad, testTrustDomain));
        expect(record === undefined ? key : entryKey(record.entry)).toBe(key);
      }),
      { numRuns: 3000 },
    );
  });

  it('of any bytes or any JSON is refused on purpose', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => Buffer.from(json)),
        ),
        (bytes) => {
          expect(outcome(() => decodeEntryRecord(key, bytes, testTrustDomain))).toBeUndefined();
        },
      ),
    );
  });
});

describe('a list request', () => {
  it('with any page token is answered or refused on purpose', () => {
    const graph = new EntryGraph();
    graph.apply(['a', 'b', 'c'].map((name) => ({ before: undefined, after: testEntry(name) })));
    const token = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      fc.string().map((id) => Buffer.from(`1:${id}`).toString('base64url')),
    );
    const property = fc.property(token, fc.nat(), (pageToken, pageSize) => {
      outcome(() => listEntries(graph, {}, { pageSize, pageToken }, () => 1));
    });
    expect(fc.check(property)).toMatchObject({ failed: false });
  });

  it('with any filter is understood or refused on purpose', () => {
    const match = text(['MATCH_EXACT', 'MATCH_ANY']);
    const filter = fc.record(
      {
        by_spiffe_id: wireId,
        by_parent_id: wireId,
        by_selectors: fc.record({ selectors: fc.array(wireSelector), match }, { requiredKeys: [] }),
        by_federates_with: fc.record(
          { trust_domains: fc.array(text(['b.test', 'spiffe://b.test'], [''])), match },
          { requiredKeys: [] },
        ),
        by_hint: fc.record({ value: fc.string() }, { requiredKeys: [] }),
      },
      { requiredKeys: [] },
    );
    const property = fc.property(filter, (given) => void outcome(() => parseEntryFilter(given)));
    expect(fc.check(property)).toMatchObject({ failed: false });
  });
});
