import { FakeTrustMap } from '../fakes/fake-trust-map.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from '../fakes/test-certificates.ts';
import { callers, domains } from './random-policies.ts';
import { strangeCallers } from './random-questions.ts';

/** Every certificate that somebody calls with, by who it is; `nobody` has none. */
export interface CertificateShapes {
  readonly authority: TestCertificate;
  readonly of: ReadonlyMap<string, TestCertificate>;
  readonly trust: FakeTrustMap;
}

const id = `spiffe://${domains.own}/ns/shop/sa/web`;

/** @param now the middle of their validity */
export async function makeCertificateShapes(now: number): Promise<CertificateShapes> {
  const validity = { notBefore: now - 3_600_000, notAfter: now + 3_600_000 };
  const authority = await makeAuthority({ uris: [`spiffe://${domains.own}`], ...validity });
  const strange = {
    nobody: undefined,
    'two-uris': { uris: [id, `spiffe://${domains.own}/ns/shop/sa/web2`] },
    'no-uri': { uris: [], subject: `CN=${id}` },
    'dns-only': { uris: [], dns: ['web.prod.example'] },
    'https-uri': { uris: ['https://prod.example/ns/shop/sa/web'] },
    'domain-id': { uris: [`spiffe://${domains.own}`] },
  } as const satisfies Record<(typeof strangeCallers)[number], object | undefined>;
  const wanted = [
    ...callers.map((uri) => [uri, { uris: [uri] }] as const),
    ...strangeCallers.flatMap((name) => {
      const options = strange[name];
      return options === undefined ? [] : [[name, options] as const];
    }),
  ];
  const made = wanted.map(
    async ([name, options]) =>
      [name, await makeCertificate({ issuer: authority, ...validity, ...options })] as const,
  );
  const own = bundleOf(domains.own, authority);
  const trust = new FakeTrustMap(own);
  trust.set(own, bundleOf(domains.federated, authority));
  return { authority, of: new Map(await Promise.all(made)), trust };
}
