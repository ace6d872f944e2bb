import type { ConfigNode } from './config-node.ts';
import { type EnvoyView, endpointAddresses, isLocal, isLoopback } from './envoy-view.ts';
import type { LintReport } from './lint-report.ts';

/** Tokens of people, which jwt_authn verifies. */
export function checkJwt(envoy: EnvoyView, report: LintReport): void {
  for (const { node } of envoy.of('jwt')) {
    const requirements = requirementsOf(node);
    const withAudiences = new Set(
      requirements.flatMap((one) => one.text('provider_and_audiences', 'provider_name') ?? []),
    );
    for (const { key, value: provider } of node.get('providers')?.members ?? []) {
      if (provider.text('issuer') === undefined) report.add('jwt-issuer-missing', provider);
      if (provider.list('audiences').length === 0 && !withAudiences.has(key))
        report.add('jwt-audiences-missing', provider);
      const header = provider.get('forward_payload_header');
      if (header !== undefined && !isAskedEverywhere(node))
        report.add('jwt-header-forgeable', header);
      checkKeySet(provider, envoy, report);
    }
    for (const one of requirements) {
      const failed = one.get('allow_missing_or_failed');
      if (failed !== undefined) report.add('jwt-failure-allowed', failed);
    }
  }
}

/** All requirements, with those inside of others. */
function requirementsOf(jwt: ConfigNode): readonly ConfigNode[] {
  const all: ConfigNode[] = [];
  const walk = (node: ConfigNode | undefined): void => {
    if (node === undefined) return;
    all.push(node);
    for (const field of ['requires_any', 'requires_all'])
      node.list(field, 'requirements').forEach(walk);
  };
  for (const one of jwt.list('rules')) walk(one.get('requires'));
  for (const { value } of jwt.get('requirement_map')?.members ?? []) walk(value);
  return all;
}

/** Envoy removes the header only where it verifies. */
function isAskedEverywhere(jwt: ConfigNode): boolean {
  const rules = jwt.list('rules');
  const isAsked = (rule: ConfigNode): boolean =>
    rule.get('requires') !== undefined || rule.text('requirement_name') !== undefined;
  return rules.every(isAsked) && rules.some((one) => one.text('match', 'prefix') === '/');
}

function checkKeySet(provider: ConfigNode, envoy: EnvoyView, report: LintReport): void {
  const source = provider.get('remote_jwks', 'http_uri');
  if (source === undefined) return;
  const cluster = envoy.cluster(source.text('cluster'));
  const host = /^http:\/\/(\[[^\]]*\]|[^/:]*)/iu.exec(source.text('uri') ?? '')?.[1];
  const addresses = cluster === undefined ? [] : endpointAddresses(cluster);
  const isNear = addresses.length > 0 && addresses.every(isLocal);
  if (isNear || (host !== undefined && isLoopback(host.replace(/^\[|\]$/gu, '')))) return;
  if (host !== undefined) report.add('jwks-in-clear', source.get('uri') ?? source);
  else if (cluster !== undefined && cluster.get('transport_socket') === undefined)
    report.add('jwks-in-clear', cluster);
}
