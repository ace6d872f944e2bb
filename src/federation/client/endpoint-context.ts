import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { withTlsSettings } from '../../wire/index.ts';
import type { EndpointTrust } from './endpoint-trust.ts';

let ofTheMachine: SecureContext | undefined;

/** TLS settings to meet an endpoint with. Nobody is trusted by OpenSSL but with https_web. */
export function endpointContext(trust: EndpointTrust): SecureContext {
  if (trust.type === 'https_spiffe') return withTlsSettings(undefined, createSecureContext);
  const { ca } = trust;
  if (ca === undefined) return (ofTheMachine ??= trusting(machineAuthorities()));
  return trusting([ca]);
}

function trusting(ca: string[]): SecureContext {
  return withTlsSettings(undefined, (settings) => createSecureContext({ ...settings, ca }));
}

/** Those of the operating system, where it has any, with NODE_EXTRA_CA_CERTS; else those that come with Node. */
function machineAuthorities(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? [...system, ...getCACertificates('extra')] : getCACertificates();
}
