import { policySchema } from '../src/authz/index.ts';
import { type CompiledRbac, compileRbac, type RbacOptions } from '../src/authz/rbac/index.ts';

export const RBAC_CLIENT = 'spiffe://example.org/ns/shop/sa/client';
const SERVICE = 'spiffe://example.org/server';
/** Of the rules, in percent. */
const DENIES = 2;

/** How many of so many rules allow, each a path of its own. */
export function allowingOf(rules: number): number {
  return rules - (rules * DENIES) / 100;
}

/**
 * Rules of one service: the client may `GET /v1/items/N/state` by rule N, mostly together with another caller. So
 * many percent of them have a glob, in the ID, the path or both; of the others every other allows all below a path.
 */
function rbacDocument(rules: number, globPercent: number): object {
  const allows = Array.from({ length: allowingOf(rules) }, (_, at) => allowOf(at, globPercent));
  const denies = Array.from({ length: rules - allows.length }, (_, at) => ({
    id: `no-export-${at}`,
    from: at % 2 ? 'authenticated' : ['spiffe://example.org/ns/*/sa/batch'],
    deny: [`/v1/export/${at}/**`],
  }));
  return {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'bench' },
    service: SERVICE,
    rules: [...allows, ...denies],
  };
}

function allowOf(at: number, globPercent: number): object {
  const id = `rule-${at}`;
  // Spread over all of them, however many percent they are.
  const isGlob = (at * 37) % 100 < globPercent;
  const other = `spiffe://example.org/ns/team-${at % 50}/sa/app-${at}`;
  const exact = `GET /v1/items/${at}/state`;
  if (!isGlob)
    return {
      id,
      from: [RBAC_CLIENT, other],
      allow: [at % 2 ? `GET /v1/items/${at}/**` : exact],
    };
  const globs = [
    { from: [RBAC_CLIENT, `spiffe://example.org/ns/*/sa/role-${at}`], allow: [exact] },
    { from: ['spiffe://example.org/ns/*/sa/client'], allow: [exact] },
    { from: [RBAC_CLIENT, other], allow: [`GET /v1/items/${at}/*`] },
    { from: ['spiffe://example.org/ns/shop/**'], allow: [`GET /v1/items/${at}/**`] },
  ];
  return { id, ...globs[Math.floor(at / 3) % globs.length] };
}

/** As an agent of one trust domain has it done, with every guard. */
export function rbacOptions(rules: number, globPercent: number): RbacOptions {
  return {
    policies: [policySchema.parse(rbacDocument(rules, globPercent))],
    service: { spiffeId: SERVICE },
    target: 'http',
    layout: 'nested',
    terms: {
      trusted: [{ trustDomain: 'example.org', accept: undefined }],
      revokedIds: ['spiffe://example.org/ns/shop/sa/stolen'],
      revokedSerials: ['00b7c1f35e1f4c0a9d2e'],
      isBlind: false,
      tokenHeaders: [],
      proxies: [],
      jwt: { namespace: 'envoy.filters.http.jwt_authn', payloadKey: 'jwt_payload' },
    },
  };
}

export function compiledRbac(rules: number, globPercent: number): CompiledRbac {
  return compileRbac(rbacOptions(rules, globPercent));
}
