import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Bundle, bundleDigest, bundlesEqual, emptyBundle } from '../../src/spiffe/bundle.ts';
import { parseBundleDocument } from '../../src/spiffe/bundle-document.ts';
import { parseBundleMap, serializeBundleMap } from '../../src/spiffe/bundle-map.ts';
import { serializeBundleDocument } from '../../src/spiffe/serialize-bundle.ts';
import { TrustDomain } from '../../src/spiffe/trust-domain.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { attempt } from './attempt.ts';

const td = TrustDomain.parse('a.test');
let certificates: Uint8Array[];
let publicKeys: Uint8Array[];
let jwks: Record<string, unknown>[];

beforeAll(async () => {
  const authorities = [await makeAuthority(), await makeAuthority({ uris: [] })];
  certificates = authorities.map(({ der }) => der);
  const keys = ['P-256', 'P-384', 'P-521'].map(
    (namedCurve) => generateKeyPairSync('ec', { namedCurve }).publicKey,
  );
  publicKeys = keys.map((key) => key.export({ format: 'der', type: 'spki' }));
  const sample = bundle({ x509: [0, 1], jwt: ['a', 'b'], sequence: 1n, hint: 1 });
  jwks = JSON.parse(serializeBundleDocument(sample)).keys;
});

interface Shape {
  readonly x509: readonly number[];
  readonly jwt: readonly string[];
  readonly sequence: bigint | undefined;
  readonly hint: number | undefined;
}

function bundle({ x509, jwt, sequence, hint }: Shape): Bundle {
  const publicKey = (index: number) => publicKeys[index % publicKeys.length] ?? new Uint8Array();
  return {
    ...emptyBundle(td),
    x509Authorities: x509.flatMap((index) => {
      const certificate = certificates[index];
      return certificate === undefined ? [] : [{ certificate, tainted: false }];
    }),
    jwtAuthorities: jwt.map((keyId, index) => ({
      keyId,
      publicKey: publicKey(index),
      expiresAt: undefined,
      tainted: false,
    })),
    sequenceNumber: sequence,
    refreshHintSeconds: hint,
  };
}

const shapes = fc.record<Shape>({
  x509: fc.uniqueArray(fc.constantFrom(0, 1)),
  jwt: fc.uniqueArray(fc.string({ unit: 'grapheme', minLength: 1 }), { maxLength: 3 }),
  sequence: fc.option(fc.bigInt({ min: 0n, max: 2n ** 128n }), { nil: undefined }),
  hint: fc.option(fc.nat(), { nil: undefined }),
});

describe('bundle documents', () => {
  it('read back as they were written', () => {
    fc.assert(
      fc.property(shapes, (shape) => {
        const written = bundle(shape);
        const { bundle: read, ignoredKeys } = parseBundleDocument(
          td,
          serializeBundleDocument(written),
        );
        expect(ignoredKeys).toEqual([]);
        expect(bundlesEqual(read, written)).toBe(true);
        expect(bundleDigest(read)).toBe(bundleDigest(written));
      }),
      { numRuns: 200 },
    );
  });

  it('with arbitrary members never end in anything but a bundle or a refusal (BUNDLE-3)', () => {
    const member = fc.constantFrom('kty', 'use', 'kid', 'x5c', 'crv', 'x', 'y', 'n', 'e', 'd');
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }),
      fc.constantFrom<unknown>('EC', 'RSA', 'x509-svid', 'jwt-svid', 'P-256', 'AQAB', ['AAAA']),
    );
    const change = fc.record({ key: fc.nat(), changes: fc.dictionary(member, value) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 4 }), value, (changes, sequence) => {
        const keys = changes.map(({ key, changes }) => ({
          ...jwks[key % jwks.length],
          ...changes,
        }));
        const text = JSON.stringify({ keys, spiffe_sequence: sequence });
        attempt(() => parseBundleDocument(td, text));
        const document = parseBundleDocument(td, JSON.stringify({ keys: [...keys, jwks[0]] }));
        expect(
          document.bundle.x509Authorities.map(({ certificate }) => certificate),
        ).toContainEqual(certificates[0]);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('bundle maps', () => {
  it('read back as they were written, or are refused in the way they may', () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,20}$/);
    fc.assert(
      fc.property(fc.dictionary(name, shapes, { maxKeys: 4 }), fc.jsonValue(), (domains, noise) => {
        const bundles = Object.entries(domains).map(([trustDomain, shape]) => ({
          ...bundle({ ...shape, hint: undefined }),
          trustDomain: TrustDomain.parse(trustDomain),
        }));
        const map = parseBundleMap(serializeBundleMap(bundles));
        for (const written of bundles) {
          const read = map.get(written.trustDomain.name)?.bundle;
          expect(read !== undefined && bundlesEqual(read, written)).toBe(true);
        }
        expect(map.size).toBe(bundles.length);
        attempt(() => parseBundleMap(JSON.stringify({ trust_domains: noise })));
        attempt(() => parseBundleMap(JSON.stringify({ trust_domains: { a: noise } })));
      }),
      { numRuns: 200 },
    );
  });
});
