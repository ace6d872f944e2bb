import { randomBytes } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createThrowawayCa } from '../../src/ca/index.ts';
import {
  type Bundle,
  generateP256KeyPair,
  IdScope,
  type RegistrationEntry,
  type Revocation,
  SpiffeId,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import {
  buildBundleMessage,
  buildEntryMessage,
  buildParts,
  buildRevocationMessage,
  buildSyncRequest,
  bundleItem,
  entryItem,
  formatDigest,
  parseBundleMessage,
  parseEntryMessage,
  parsePart,
  parseRevocationMessage,
  parseSyncRequest,
  revocationItem,
  SyncReplica,
  type SyncRequest,
  termsItem,
  withHash,
} from '../../src/sync/index.ts';
import { ReplicaState } from '../../src/sync/replica-state.ts';
import { buildTermsMessage, parseTermsMessage } from '../../src/sync/terms-message.ts';
import { messageType, strictBytes } from '../../src/wire/index.ts';
import { testEntry, testTrustDomain } from '../fakes/test-entries.ts';
import { attempt } from './attempt.ts';

const FILE = 'trustplane/sync/v1/sync.proto';
const REQUEST = messageType(FILE, 'trustplane.sync.v1.SyncRequest');
const RESPONSE = messageType(FILE, 'trustplane.sync.v1.SyncResponse');
const ENTRY = messageType('spire/api/types/entry.proto', 'spire.api.types.Entry');
const LOADED = { longs: String, enums: String } as const;

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom('a.test', '/a'),
);
const certificates = [1, 2].map(() => createThrowawayCa(Date.now(), randomBytes));
const { publicKey } = generateP256KeyPair();

const entries = fc
  .record({
    hint: fc.constantFrom('', 'internal', 'ü'),
    federatesWith: fc.subarray(['b.test', 'c.test']),
    dnsNames: fc.subarray(['a.example', '*.example']),
    x509SvidTtlSeconds: fc.nat(1_000_000),
    expiresAtSeconds: fc.constantFrom(0, 4_000_000_000),
    admin: fc.boolean(),
    storeSvid: fc.boolean(),
    jwtSvidIncludeJti: fc.boolean(),
    revisionNumber: fc.nat(),
    selectors: fc.subarray(['unix:uid:1', 'unix:gid:2', 'unix:path:/a:b'], { minLength: 1 }),
  })
  .map(({ selectors, ...more }): RegistrationEntry => testEntry('web', selectors, more));

const tokens = fc.record({
  keyId: fc.constantFrom('k1', 'k2'),
  publicKey: fc.constant(publicKey),
  expiresAt: fc.constantFrom(undefined, 4_000_000_000_000),
  tainted: fc.boolean(),
});
const bundles = fc.record({
  trustDomain: fc.constantFrom('a.test', 'b.test').map((name) => TrustDomain.parse(name)),
  x509Authorities: fc
    .subarray(certificates)
    .chain((chosen) =>
      fc.tuple(
        ...chosen.map((certificate) =>
          fc.record({ certificate: fc.constant(certificate), tainted: fc.boolean() }),
        ),
      ),
    ),
  jwtAuthorities: fc.array(tokens, { maxLength: 1 }),
  witAuthorities: fc.constant([]),
  sequenceNumber: fc.option(fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }), { nil: undefined }),
  refreshHintSeconds: fc.option(fc.integer({ min: 1, max: 1_000_000 }), { nil: undefined }),
});

const revocations: fc.Arbitrary<Revocation> = fc
  .constantFrom(
    { kind: 'spiffe-id', value: 'spiffe://a.test/web' } as const,
    { kind: 'agent', value: 'spiffe://a.test/spire/agent/x/y' } as const,
    { kind: 'entry', value: 'e-1' } as const,
    { kind: 'serial', value: '0aF3' } as const,
  )
  .chain((subject) =>
    fc.record({
      kind: fc.constant(subject.kind),
      value: fc.constant(subject.value),
      id: fc.constantFrom('r1', 'r2'),
      issuedBefore: fc.nat(),
      expiresAt: fc.nat(),
      reason: fc.constantFrom('', 'key lost'),
    }),
  );

const terms = fc
  .record({
    name: fc.constantFrom('b.test', 'c.test'),
    paths: fc.subarray(['/**', '/x/**', '/y', '/a/b/**']),
    publisher: fc.option(fc.constantFrom('spiffe://b.test/spire/server', 'spiffe://c.test/x'), {
      nil: undefined,
    }),
  })
  .map(({ name, paths, publisher }) => {
    const trustDomain = TrustDomain.parse(name);
    const accept = paths.map((path) => IdScope.parse(`spiffe://${name}${path}`, trustDomain));
    const publisherId = publisher === undefined ? undefined : SpiffeId.parse(publisher);
    return { trustDomain, terms: { accept, publisherId } };
  });

describe('what is sent of terms', () => {
  it('is read as it was, and has the same bytes again', () => {
    fc.assert(
      fc.property(terms, (sent) => {
        const read = parseTermsMessage(buildTermsMessage(sent.trustDomain.name, sent.terms));
        expect(read).toEqual(sent);
        const { name } = sent.trustDomain;
        expect(termsItem(name, read.terms)).toEqual(termsItem(name, sent.terms));
      }),
    );
  });

  it('is one item for each trust domain, also when two have the same', () => {
    const same = { accept: [], publisherId: undefined };
    expect(['b.test', 'c.test', 'b.test'].map((name) => termsItem(name, same).key)).toEqual([
      't:b.test',
      't:c.test',
      't:b.test',
    ]);
  });

  it.each([
    ['of no trust domain', { trust_domain: '' }],
    ['of a trust domain that is none', { trust_domain: 'B.test' }],
    ['with a scope of another trust domain', { accept: ['spiffe://c.test/x'] }],
    ['with a scope that is none', { accept: ['spiffe://b.test/x*'] }],
    ['with one scope that is empty', { accept: ['spiffe://b.test/x', ''] }],
    ['with too many scopes', { accept: Array.from({ length: 1025 }, () => 'spiffe://b.test/x') }],
    ['with a publisher that is none', { publisher_id: 'b.test' }],
  ])('is refused %s: what an agent cannot enforce it does not pass over', (_, change) => {
    const good = { trust_domain: 'b.test', accept: ['spiffe://b.test/x/**'] };
    expect(parseTermsMessage(good).terms.accept).toHaveLength(1);
    expect(() => parseTermsMessage({ ...good, ...change })).toThrow(
      expect.objectContaining({ code: 'ERR_SYNC_TERMS' }),
    );
  });
});

describe('what is sent of entries, bundles and revocations', () => {
  it('is read as it was', () => {
    fc.assert(
      fc.property(entries, bundles, revocations, (entry, bundle: Bundle, revocation) => {
        expect(parseEntryMessage(buildEntryMessage(entry), testTrustDomain)).toEqual(entry);
        expect(parseBundleMessage(buildBundleMessage(bundle))).toEqual(bundle);
        expect(parseRevocationMessage(buildRevocationMessage(revocation))).toEqual(revocation);
      }),
    );
  });

  it('has the same bytes when an agent writes it again', () => {
    fc.assert(
      fc.property(entries, bundles, revocations, (entry, bundle: Bundle, revocation) => {
        const read = {
          entry: parseEntryMessage(buildEntryMessage(entry), testTrustDomain),
          bundle: parseBundleMessage(buildBundleMessage(bundle)),
          revocation: parseRevocationMessage(buildRevocationMessage(revocation)),
        };
        expect(entryItem(read.entry)).toEqual(entryItem(entry));
        expect(bundleItem(read.bundle)).toEqual(bundleItem(bundle));
        expect(revocationItem(read.revocation)).toEqual(revocationItem(revocation));
      }),
    );
  });
});

describe('an entry from a server', () => {
  const wireId = fc.record({ trust_domain: text, path: text }, { requiredKeys: [] });
  const mostly = <T>(good: T, other: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 9, arbitrary: fc.constant(good) }, { weight: 1, arbitrary: other });
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
  const wire = fc.record({
    id: mostly('e-1', text),
    spiffe_id: mostly({ trust_domain: 'a.test', path: '/web' }, wireId),
    parent_id: mostly({ trust_domain: 'a.test', path: '/node' }, wireId),
    selectors: mostly(
      [{ type: 'unix', value: 'uid:1' }],
      fc.array(fc.record({ type: text, value: text }), { maxLength: 3 }),
    ),
    x509_svid_ttl: fc.integer({ min: -1, max: 2 ** 31 - 1 }),
    federates_with: mostly(['b.test'], fc.array(text, { maxLength: 2 })),
    expires_at: mostly('0', int64),
    dns_names: mostly(['web'], fc.array(text, { maxLength: 2 })),
    revision_number: mostly('7', int64),
    hint: mostly('', text),
  });

  it('is refused on purpose, or is one that can be sent on', () => {
    let read = 0;
    fc.assert(
      fc.property(wire, (message) => {
        const entry = attempt(() => parseEntryMessage(message, testTrustDomain));
        if (entry === undefined) return;
        read++;
        expect(parseEntryMessage(buildEntryMessage(entry), testTrustDomain)).toEqual(entry);
      }),
      { numRuns: 3000 },
    );
    expect(read).toBeGreaterThan(100);
  });

  it.each([
    ['of another trust domain', { spiffe_id: { trust_domain: 'b.test', path: '/web' } }],
    ['with a reserved ID', { spiffe_id: { trust_domain: 'a.test', path: '/spire/server' } }],
    ['without a path', { spiffe_id: { trust_domain: 'a.test' } }],
    ['without selectors', { selectors: [] }],
    [
      'with too many selectors',
      { selectors: Array.from({ length: 1025 }, () => ({ type: 'a', value: 'b' })) },
    ],
    ['with a lifetime below 0', { x509_svid_ttl: -1 }],
    ['that expires after the last instant', { expires_at: '253402300800' }],
    ['with a revision below 0', { revision_number: '-1' }],
    ['with a long hint', { hint: 'x'.repeat(1025) }],
    ['with a control character', { hint: '\n' }],
    ['with a name that is none', { dns_names: ['a b'] }],
    ['with an ID that is none', { id: 'a/b' }],
    ['that federates with no trust domain', { federates_with: ['B.test'] }],
  ])('is refused %s', (_, change) => {
    const good = buildEntryMessage(testEntry('web'));
    expect(() => parseEntryMessage({ ...good, ...change }, testTrustDomain)).toThrow(
      expect.objectContaining({ code: 'ERR_SYNC_ENTRY' }),
    );
  });

  it.each([
    ['of an unknown kind', { kind: 'KIND_UNSPECIFIED' }],
    ['without a kind', { kind: '' }],
    ['of an ID that is none', { kind: 'KIND_SPIFFE_ID', value: 'https://a.test' }],
    ['of a serial number that is none', { kind: 'KIND_SERIAL', value: 'xyz' }],
    ['with an instant below 0', { issued_before: '-1' }],
    ['with an endless reason', { reason: 'x'.repeat(5000) }],
  ])('no revocation is read %s', (_, change) => {
    const good = { id: 'r', kind: 'KIND_ENTRY', value: 'e', issued_before: '1', expires_at: '2' };
    expect(parseRevocationMessage(good)).toMatchObject({ kind: 'entry', reason: '' });
    expect(() => parseRevocationMessage({ ...good, ...change })).toThrow(
      expect.objectContaining({ code: 'ERR_SYNC_REVOCATION' }),
    );
  });
});

const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes));
const position = fc.record({
  epoch: fc.constantFrom('life-1', 'life-2'),
  revision: fc.nat(),
  digest: digest.map((bytes) => bytes.toString('hex')),
});
const requests: fc.Arbitrary<SyncRequest> = fc.oneof(
  fc.record({
    kind: fc.constant('hello' as const),
    resume: fc.option(position, { nil: undefined }),
    agentVersion: fc.constantFrom('', '1.0'),
    takesTerms: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('applied' as const),
    revision: fc.nat(),
    digest: position.map((each) => each.digest),
  }),
  fc.record({
    kind: fc.constant('confirmed' as const),
    bundleDigest: position.map((each) => each.digest),
    laggards: fc.array(fc.record({ stream: text, reason: text }), { maxLength: 3 }),
  }),
);

describe('what an agent says', () => {
  const encode = (request: SyncRequest): Buffer =>
    Buffer.from(REQUEST.encode(REQUEST.fromObject(buildSyncRequest(request))).finish());
  const read = (bytes: Uint8Array) =>
    parseSyncRequest(REQUEST.toObject(REQUEST.decode(strictBytes(bytes)), LOADED));

  it('is read as it was said, without what is not text', () => {
    fc.assert(
      fc.property(requests, (request) => {
        const parsed = read(encode(request));
        const { laggards: _, ...said } = { laggards: [], ...request };
        expect(parsed).toMatchObject(said);
        expect(JSON.stringify(parsed)).not.toMatch(/[\p{Cc}\p{Cs}]/u);
      }),
    );
  });

  it('is bounded, however many streams lag and whatever they say', () => {
    const laggards = Array.from({ length: 5000 }, () => ({
      stream: 'ü'.repeat(10_000),
      reason: '\u{1f600}'.repeat(10_000),
    }));
    const bytes = encode({ kind: 'confirmed', bundleDigest: 'ab'.repeat(32), laggards });
    expect(bytes.length).toBeLessThan(150_000);
    const parsed = read(bytes);
    expect(parsed.kind === 'confirmed' && parsed.laggards).toHaveLength(100);
  });

  it('is refused on purpose, however it is damaged', () => {
    fc.assert(
      fc.property(requests, fc.nat(), fc.nat(255), (request, at, byte) => {
        const bytes = encode(request);
        if (bytes.length > 0) bytes[at % bytes.length] = byte;
        const decoded = attemptDecode(() => REQUEST.decode(strictBytes(bytes)));
        if (decoded) attempt(() => parseSyncRequest(REQUEST.toObject(decoded, LOADED)));
      }),
      { numRuns: 3000 },
    );
    expect(attempt(() => parseSyncRequest({}))).toBeUndefined();
  });
});

describe('what a server says', () => {
  const bundle = { ...bundleFor('a.test'), sequenceNumber: 1n };
  const items = [bundleItem(bundle), entryItem(testEntry('a')), entryItem(testEntry('b'))];
  const facts = {
    entries: new Map([testEntry('a'), testEntry('b')].map((entry) => [entry.id, entry])),
    trust: { own: bundle, federated: new Map(), terms: new Map() },
    revocations: [],
  };
  const good = {
    position: { epoch: 'life-1', revision: 2, digest: ReplicaState.of(facts).digest },
    isSnapshot: true,
    items,
    removed: [],
  };
  const newReplica = () => new SyncReplica({ trustDomain: testTrustDomain, agentVersion: '' });
  const encoded = (update: typeof good, maxBytes?: number): Buffer[] =>
    [...buildParts(update, maxBytes)].map((part) =>
      Buffer.from(RESPONSE.encode(RESPONSE.fromObject(part)).finish()),
    );
  const receive = (replica: SyncReplica, parts: readonly Uint8Array[]) => {
    const session = replica.connect();
    return parts.map((bytes) =>
      session.receive(parsePart(RESPONSE.toObject(RESPONSE.decode(strictBytes(bytes)), LOADED))),
    );
  };

  it('is taken whole', () => {
    const replica = newReplica();
    const receipts = receive(replica, encoded(good, 100));
    expect(receipts.map(({ kind }) => kind)).toEqual(['partial', 'partial', 'applied']);
    expect(replica.state()).toEqual(facts);
  });

  it('leaves no trace, however it is damaged', () => {
    let applied = 0;
    fc.assert(
      fc.property(fc.nat(), fc.nat(255), (at, byte) => {
        const [bytes = Buffer.alloc(1)] = encoded(good);
        const index = at % bytes.length;
        bytes[index] = byte;
        const replica = newReplica();
        const receipts = attemptDecode(() => attempt(() => receive(replica, [bytes])));
        const isApplied = receipts?.[0]?.kind === 'applied';
        if (isApplied) applied++;
        // What it may differ in is the number and the name of the position alone.
        expect(replica.state()).toEqual(isApplied ? facts : undefined);
      }),
      { numRuns: 3000 },
    );
    expect(applied).toBeGreaterThan(0);
  });

  it.each([
    ['ERR_SYNC_UPDATE', 'without the own bundle', withoutBundle()],
    ['ERR_SYNC_LIMIT', 'with an item that is larger than items may be', [hugeItem()]],
    ['ERR_SYNC_ENTRY', 'with an item that is no message', [{ ...hugeItem(), bytes: Buffer.of(1) }]],
  ])('is refused with %s %s', (code, _, given) => {
    const replica = newReplica();
    const last = entryItem(testEntry('b'));
    const position = {
      ...good.position,
      digest: formatDigest(withHash(entryItem(testEntry('a')).hash, last.hash)),
    };
    const update = { ...good, items: given, position };
    expect(() => receive(replica, encoded(update))).toThrow(expect.objectContaining({ code }));
    expect(replica.state()).toBeUndefined();
  });

  it('is refused when its epoch changes on the stream', () => {
    const other = { ...good, position: { ...good.position, epoch: 'life-2', revision: 3 } };
    const replica = newReplica();
    expect(() => receive(replica, [...encoded(good), ...encoded(other)])).toThrow(
      expect.objectContaining({ code: 'ERR_SYNC_UPDATE' }),
    );
    expect(replica.state()).toEqual(facts);
  });

  it('is nothing any more on a stream that another replaced', () => {
    const replica = newReplica();
    const session = replica.connect();
    replica.connect();
    const [part] = [...buildParts(good)];
    expect(part && session.receive(parsePart(part))).toEqual({ kind: 'stale' });
  });

  it('is resumed by an agent that was started again, unless it kept something else', () => {
    const options = { trustDomain: testTrustDomain, agentVersion: '' };
    const { position: resume } = good;
    const again = new SyncReplica({ ...options, restored: { facts, position: resume } });
    expect(again.connect().hello).toMatchObject({ resume });
    const other = { ...facts, entries: new Map() };
    const changed = new SyncReplica({ ...options, restored: { facts: other, position: resume } });
    expect(changed.connect().hello).toMatchObject({ resume: undefined });
    expect(changed.state()).toBe(other);
  });

  function withoutBundle() {
    return items.slice(1);
  }

  function hugeItem() {
    return { key: 'e:x' as const, bytes: new Uint8Array(2_097_152), hash: 0n };
  }
});

function bundleFor(name: string): Bundle {
  return parseBundleMessage({
    trust_domain: name,
    x509_authorities: certificates.map((asn1) => ({ asn1 })),
  });
}

function attemptDecode<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof RangeError || (error instanceof Error && error.name === 'Error')) {
      return undefined;
    }
    throw error;
  }
}

// The fields that only SPIRE's own servers leave out are absent, not empty.
describe('an entry of few fields', () => {
  it('is read from bytes as from a message', () => {
    const message = buildEntryMessage(testEntry('web'));
    const bytes = ENTRY.encode(ENTRY.fromObject(message)).finish();
    const decoded = ENTRY.toObject(ENTRY.decode(bytes), LOADED);
    expect(parseEntryMessage(decoded, testTrustDomain)).toEqual(testEntry('web'));
  });
});
