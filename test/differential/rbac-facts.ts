import { X509Certificate } from 'node:crypto';
import { policySchema } from '../../src/authz/index.ts';
import {
  type CompiledRbac,
  compileRbac,
  type MatchFacts,
  type RbacTerms,
} from '../../src/authz/rbac/index.ts';
import { type CertificateShapes, urisOf } from './certificate-shapes.ts';
import type { PolicyDocument } from './policy-document.ts';
import { domains, gateway } from './random-policies.ts';
import type { Asked } from './random-questions.ts';

const NAMESPACE = 'envoy.filters.http.jwt_authn';
const PAYLOAD = 'jwt_payload';

/** What is true of the callers of `makeCertificateShapes`. */
export function rbacTerms({ trust, revocations }: CertificateShapes): RbacTerms {
  const { terms } = trust.current();
  const valuesOf = (kind: string): readonly string[] =>
    revocations.list.flatMap((one) => (one.kind === kind ? [one.value] : []));
  return {
    trusted: [domains.own, domains.federated].map((trustDomain) => ({
      trustDomain,
      accept: terms.get(trustDomain)?.accept,
    })),
    revokedIds: valuesOf('spiffe-id'),
    revokedSerials: valuesOf('serial'),
    isBlind: false,
    tokenHeaders: ['authorization'],
    proxies: [gateway],
    jwt: { namespace: NAMESPACE, payloadKey: PAYLOAD },
  };
}

export type RbacVariant = Pick<Parameters<typeof compileRbac>[0], 'target' | 'layout'>;

/** @throws what the checker says of a policy that makes no sense */
export function compileDocuments(
  documents: readonly PolicyDocument[],
  { id, extension }: Asked['service'],
  terms: RbacTerms,
  variant: RbacVariant,
): CompiledRbac {
  const policies = documents.map((document) =>
    policySchema.parse({ apiVersion: 'trustplane/v1', kind: 'Policy', ...document }),
  );
  const service = { spiffeId: id, contextExtension: extension };
  return compileRbac({ policies, service, terms, ...variant });
}

/** What Envoy makes of a question that it passes on. */
export class FactsReader {
  readonly #serials: ReadonlyMap<string, string>;
  readonly #tokens: CertificateShapes['tokens'];

  constructor({ of, tokens }: CertificateShapes) {
    this.#tokens = tokens;
    this.#serials = new Map(
      [...of].map(([name, { der }]) => [name, new X509Certificate(der).serialNumber.toLowerCase()]),
    );
  }

  read(asked: Asked): MatchFacts {
    const { as, http, sourceIp, destinationIp, port, claims } = asked;
    const uris = urisOf(as);
    return {
      isMtls: as !== 'nobody',
      uriSan: as === 'nobody' || uris.length === 0 ? undefined : uris.join(','),
      serial: this.#serials.get(as) ?? '-',
      sourceIp,
      destinationIp,
      destinationPort: port,
      ...(http !== undefined && {
        path: http.target.replace(/\?.*$/su, ''),
        headers: this.#headers(asked, http),
      }),
      ...(claims !== undefined && { metadata: { [NAMESPACE]: { [PAYLOAD]: claims } } }),
    };
  }

  #headers(
    { shows = '' }: Asked,
    { method, host, lines }: NonNullable<Asked['http']>,
  ): ReadonlyMap<string, string> {
    const token = this.#tokens.get(shows);
    const all = [
      ...lines,
      ...(token === undefined ? [] : [['authorization', `Bearer ${token}`] as const]),
    ];
    const headers = new Map([
      [':method', method],
      [':authority', host],
    ]);
    for (const [written, value] of all) {
      const name = written.toLowerCase();
      const before = headers.get(name);
      headers.set(name, before === undefined ? value : `${before},${value}`);
    }
    return headers;
  }
}
