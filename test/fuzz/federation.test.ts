import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBundleEdit, parseForeignBundle } from '../../src/api/bundle-message.ts';
import {
  buildRelationship,
  parseRelationship,
  parseRelationshipEdit,
} from '../../src/api/relationship-messages.ts';
import { domainKey, domainOfKey } from '../../src/federation/domain-key.ts';
import { acceptBundle } from '../../src/federation/foreign-bundle.ts';
import { foreignBundleKind } from '../../src/federation/foreign-bundle-record.ts';
import { parseEndpointUrl, plainTerms } from '../../src/federation/relationship.ts';
import { relationshipKind } from '../../src/federation/relationship-record.ts';
import { type Bundle, TrustDomain } from '../../src/spiffe/index.ts';
import { buildBundleMessage } from '../../src/sync/index.ts';
import { messageType } from '../../src/wire/index.ts';
import { foreignBundle, testCertificate, testTokenAuthority } from '../fakes/open-federation.ts';
import { attempt } from './attempt.ts';

const own = TrustDomain.parse('a.test');

/** Mostly the good, some noise. */
const mostly = <T>(good: fc.Arbitrary<T>, noise: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 12, arbitrary: good }, { weight: 1, arbitrary: noise });
const text = (...good: string[]) =>
  mostly(fc.constantFrom(...good), fc.oneof(fc.string(), fc.string({ unit: 'binary' })));
const count = mostly(
  fc.nat().map(String),
  fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }).map(String), fc.string()),
);
const { publicKey } = testTokenAuthority('k');

const wireKey = fc.record(
  {
    public_key: mostly(fc.constant(publicKey), fc.uint8Array({ maxLength: 40 })),
    key_id: text('k1', 'k2', 'k3', 'k4'),
    expires_at: count,
    tainted: fc.boolean(),
  },
  { requiredKeys: ['public_key', 'key_id'] },
);
const wireBundle = fc.record(
  {
    trust_domain: text('b.test', 'spiffe://b.test', 'a.test'),
    x509_authorities: fc.array(
      fc.record({
        asn1: mostly(fc.nat({ max: 5 }).map(testCertificate), fc.uint8Array({ maxLength: 40 })),
        tainted: fc.boolean(),
      }),
      { maxLength: 3 },
    ),
    jwt_authorities: fc.array(wireKey, { maxLength: 2 }),
    wit_authorities: fc.array(wireKey, { maxLength: 2 }),
    refresh_hint: count,
    sequence_number: count,
  },
  { requiredKeys: ['trust_domain'] },
);
const url = mostly(
  fc.constantFrom('https://b.test', 'https://b.test:8443/x?y=z', 'https://[::1]/'),
  fc.oneof(fc.webUrl({ withFragments: true, withQueryParameters: true }), fc.string()),
);
const wireRelationship = fc.record(
  {
    trust_domain: text('b.test', 'spiffe://c.test', 'a.test'),
    bundle_endpoint_url: url,
    https_web: fc.constant({}),
    https_spiffe: fc.record({ endpoint_spiffe_id: text('spiffe://b.test/e', 'spiffe://b.test') }),
    trust_domain_bundle: wireBundle,
  },
  { requiredKeys: ['trust_domain', 'bundle_endpoint_url'] },
);

describe('a bundle from outside', () => {
  it('is refused on purpose, or survives the wire and the store', () => {
    const type = messageType('spire/api/types/bundle.proto', 'spire.api.types.Bundle');
    let accepted = 0;
    fc.assert(
      fc.property(wireBundle, (wire) => {
        const held = attempt(() => acceptBundle(undefined, parseForeignBundle(wire, own)));
        if (held === undefined) return;
        accepted++;
        const { bundle } = held;
        const key = foreignBundleKind.keyOf(bundle.trustDomain);
        expect(foreignBundleKind.decode(key, foreignBundleKind.encode(held))).toEqual(held);
        const bytes = type.encode(type.fromObject(buildBundleMessage(bundle))).finish();
        const seen = type.toObject(type.decode(bytes), { longs: String, arrays: true });
        expect(parseForeignBundle(seen, own)).toEqual(bundle);
        expect(parseBundleEdit(wire, undefined, own).trustDomain).toEqual(bundle.trustDomain);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(300);
  });
});

describe('a relationship from outside', () => {
  it('is refused on purpose, or survives the wire and the store', () => {
    let accepted = 0;
    fc.assert(
      fc.property(wireRelationship, (wire) => {
        const draft = attempt(() => parseRelationship(wire, own));
        attempt(() => parseRelationshipEdit(wire, undefined, own));
        if (draft === undefined) return;
        accepted++;
        const { relationship, bundle } = draft;
        const key = relationshipKind.keyOf(relationship.trustDomain);
        const stored = relationshipKind.encode(relationship);
        expect(relationshipKind.decode(key, stored)).toEqual(relationship);
        const built = buildRelationship(relationship, bundle, undefined);
        expect(parseRelationship(built, own)).toEqual(draft);
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });

  it('has an endpoint that everybody reads the same (FED-4)', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          url,
          fc.string().map((noise) => `https://${noise}`),
        ),
        (given) => {
          const parsed = attempt(() => parseEndpointUrl(given));
          if (parsed === undefined) return;
          const { protocol, username, password, hash, host } = new URL(parsed);
          expect([protocol, username, password, hash]).toEqual(['https:', '', '', '']);
          const written = /^https:\/\/([^/?]*)/iu.exec(parsed)?.[1]?.toLowerCase();
          expect(new URL(`https://${written}`).host).toBe(host);
          expect(parsed).toBe(given);
        },
      ),
      { numRuns: 5_000 },
    );
  });
});

describe('what the store holds of a foreign trust domain', () => {
  const name = TrustDomain.parse('b.test');
  const whole: Bundle = foreignBundle('b.test', [0, 1], {
    jwtAuthorities: [testTokenAuthority('j', { expiresAt: 1 })],
    sequenceNumber: 2n ** 65n,
    refreshHintSeconds: 9,
  });
  const bundleRecord = foreignBundleKind.encode({ bundle: whole, highestSequence: 2n ** 65n });
  const relationshipRecord = relationshipKind.encode({
    trustDomain: name,
    bundleEndpointUrl: 'https://b.test/',
    profile: { type: 'https_web' },
    ...plainTerms,
  });

  it.each([
    ['bundle', foreignBundleKind, bundleRecord],
    ['relationship', relationshipKind, relationshipRecord],
  ] as const)('is a %s of exactly this trust domain, or refused', (_, kind, record) => {
    const good = Buffer.from(record).toString();
    const damage = fc.record({
      at: fc.nat(good.length),
      remove: fc.nat(8),
      insert: fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom('"', '{', '}', 'null', '-1')),
    });
    const key = kind.keyOf(name);
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        const damaged = damages.reduce(
          (result, { at, remove, insert }) =>
            result.slice(0, at) + insert + result.slice(at + remove),
          good,
        );
        const read = attempt(() => kind.decode(key, Buffer.from(damaged)));
        if (read === undefined) return;
        const { trustDomain } = 'bundle' in read ? read.bundle : read;
        expect(trustDomain).toEqual(name);
      }),
      { numRuns: 1_000 },
    );
  });

  it('has a key that says which one it is', () => {
    const names = fc.stringMatching(/^[a-z0-9._-]{1,255}$/u);
    fc.assert(
      fc.property(names, (any) => {
        const key = domainKey('bundle', TrustDomain.parse(any));
        expect(domainOfKey(key)).toBe(any);
        expect(key).toMatch(/^bundle\.[A-Za-z0-9_-]+$/u);
        expect(key.length).toBeLessThanOrEqual(512);
      }),
    );
  });
});
