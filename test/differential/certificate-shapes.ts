import { IdScope, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import { FakeRevocations } from '../fakes/fake-revocations.ts';
import { FakeTrustMap } from '../fakes/fake-trust-map.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
} from '../fakes/test-certificates.ts';
import { makeTokenKey } from '../fakes/test-tokens.ts';
import { accepted, callers, domains, gateway, revoked, revokedLongAgo } from './random-policies.ts';
import { strangeCallers, tokenKinds } from './random-questions.ts';

/** Everything that somebody calls with, by who it is; `nobody` has no certificate. */
export interface CertificateShapes {
  readonly authority: TestCertificate;
  readonly of: ReadonlyMap<string, TestCertificate>;
  /** By kind and ID. */
  readonly tokens: ReadonlyMap<string, string>;
  readonly revocations: FakeRevocations;
  readonly trust: FakeTrustMap;
}

/** For whom tokens are meant. */
export const audience = 'differential';
const HOUR_MS = 3_600_000;
const id = `spiffe://${domains.own}/ns/shop/sa/web`;

const strange = {
  nobody: undefined,
  'two-uris': { uris: [id, `spiffe://${domains.own}/ns/shop/sa/web2`] },
  'no-uri': { uris: [], subject: `CN=${id}` },
  'dns-only': { uris: [], dns: ['web.prod.example'] },
  'https-uri': { uris: ['https://prod.example/ns/shop/sa/web'] },
  'domain-id': { uris: [`spiffe://${domains.own}`] },
} as const satisfies Record<
  (typeof strangeCallers)[number],
  | (Pick<TestCertificateOptions, 'subject' | 'dns'> & { readonly uris: readonly string[] })
  | undefined
>;

/** The URI SANs of whoever calls. */
export function urisOf(as: string): readonly string[] {
  const isStrange = (name: string): name is keyof typeof strange => Object.hasOwn(strange, name);
  return isStrange(as) ? (strange[as]?.uris ?? []) : [as];
}

/** @param now the middle of their validity */
export async function makeCertificateShapes(now: number): Promise<CertificateShapes> {
  const validity = { notBefore: now - HOUR_MS, notAfter: now + HOUR_MS };
  const authority = await makeAuthority({ uris: [`spiffe://${domains.own}`], ...validity });
  const wanted = [
    ...[...callers, gateway].map((uri) => [uri, { uris: [uri] }] as const),
    ...strangeCallers.flatMap((name) => {
      const options = strange[name];
      return options === undefined ? [] : [[name, options] as const];
    }),
  ];
  const made = wanted.map(
    async ([name, options]) =>
      [name, await makeCertificate({ issuer: authority, ...validity, ...options })] as const,
  );
  const key = makeTokenKey('k');
  const jwtAuthorities = [key.authority];
  const own = { ...bundleOf(domains.own, authority), jwtAuthorities };
  const trust = new FakeTrustMap(own);
  trust.set(own, { ...bundleOf(domains.federated, authority), jwtAuthorities });
  const accept = [IdScope.parse(accepted, TrustDomain.parse(domains.federated))];
  trust.setTerms([domains.federated, { accept, publisherId: undefined }]);
  const revocations = new FakeRevocations();
  revocations.revokeId(SpiffeId.parse(revoked), now);
  revocations.revokeId(SpiffeId.parse(revokedLongAgo), now - 10 * HOUR_MS);
  return {
    authority,
    of: new Map(await Promise.all(made)),
    tokens: makeTokens(key, now),
    revocations,
    trust,
  };
}

function makeTokens(
  key: ReturnType<typeof makeTokenKey>,
  now: number,
): ReadonlyMap<string, string> {
  const seconds = Math.floor(now / 1_000);
  const others = makeTokenKey('k');
  return new Map(
    callers.flatMap((sub) =>
      tokenKinds.map((kind) => {
        const aud = kind === 'of-others' ? 'others' : audience;
        const exp = kind === 'expired' ? seconds - 600 : seconds + 3_600;
        const signer = kind === 'forged' ? others : key;
        const token = signer.token({ sub, aud: [aud], exp, iat: seconds - 1_200 });
        return [`${kind} ${sub}`, token] as const;
      }),
    ),
  );
}
