import type { RbacTerms } from '../../src/authz/rbac/index.ts';
import { freePorts } from '../programs/free-ports.ts';
import { type CertificateShapes, makeCertificateShapes } from './certificate-shapes.ts';
import type { PolicyDocument } from './policy-document.ts';
import { domains } from './random-policies.ts';
import { launchRbacEnvoy, pushRules, type RbacEnvoy, type RbacEnvoyOptions } from './rbac-envoy.ts';
import { compileDocuments, rbacTerms } from './rbac-facts.ts';

const SERVICE = `spiffe://${domains.own}/ns/ledger/sa/api`;

/** An Envoy at one port of each of its addresses. */
export interface OnePolicy {
  readonly envoy: RbacEnvoy;
  readonly port: number;
}

/**
 * Every judge of an Envoy decides by one policy, whose context extension is `c`.
 * @param known whose certificates callers have, and what is true of them; default: what is true of `makeCertificateShapes`
 */
export async function launchOnePolicy(
  policy: PolicyDocument,
  options: Pick<RbacEnvoyOptions, 'manager' | 'listenerFilters' | 'filters' | 'routes'> = {},
  known?: { readonly shapes: CertificateShapes; readonly terms: RbacTerms },
): Promise<OnePolicy> {
  const [port = 0] = await freePorts(1);
  const shapes = known?.shapes ?? (await makeCertificateShapes(Date.now()));
  const envoy = await launchRbacEnvoy({
    lanes: [{ number: 0, ports: [port] }],
    service: SERVICE,
    cases: ['c'],
    documents: [policy],
    shapes,
    ...options,
  });
  const place = { id: SERVICE, extension: 'c' };
  const terms = known?.terms ?? rbacTerms(shapes);
  const compile = (target: 'http' | 'network') =>
    compileDocuments([policy], place, terms, { target, layout: 'nested' });
  await pushRules(envoy, 0, { http: compile('http'), network: compile('network') });
  return { envoy, port };
}
