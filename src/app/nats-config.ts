import type { NatsIdentityFiles, NatsLogin } from '../nats/index.ts';
import { type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import type { NatsFile } from './nats-schema.ts';

/** The nats-servers that carry the broadcast, and how they are talked to. */
export interface NatsConfig {
  readonly servers: readonly string[];
  /** What they present; undefined: certificates for their host names, below `caFile`. */
  readonly serverId: SpiffeId | undefined;
  readonly caFile: string | undefined;
  /** Undefined: over TLS the own SVID. */
  readonly identity: NatsIdentityFiles | undefined;
  /** Undefined: whoever the certificate says. */
  readonly login: NatsLogin | undefined;
  readonly allowPlaintext: boolean;
}

/** @param section that the file says it in. @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function buildNats(file: NatsFile, section: string = 'federation.nats'): NatsConfig {
  const contradiction: Contradiction = (message) =>
    new TrustplaneError('ERR_CONFIG', `${section}: ${message}`);
  const { servers, serverId, caFile, allowPlaintext = false } = file;
  if (serverId !== undefined && caFile !== undefined) {
    throw contradiction(
      'an SVID is verified with the bundle of its trust domain: serverId and caFile exclude each other',
    );
  }
  const secured = servers.filter((server) => server.startsWith('tls://')).length;
  if (secured > 0 && secured < servers.length) {
    throw contradiction('servers are all tls:// or all nats://');
  }
  const identity = identityOf(file, contradiction);
  if (secured === 0 && (serverId ?? caFile ?? identity) !== undefined) {
    throw contradiction(
      'serverId, caFile and certificateFile say nothing of servers without tls://',
    );
  }
  return {
    servers,
    serverId,
    caFile,
    identity,
    login: loginOf(file, contradiction),
    allowPlaintext,
  };
}

type Contradiction = (message: string) => TrustplaneError;

function identityOf(
  { certificateFile, privateKeyFile }: NatsFile,
  contradiction: Contradiction,
): NatsIdentityFiles | undefined {
  if (certificateFile === undefined && privateKeyFile === undefined) return undefined;
  if (certificateFile !== undefined && privateKeyFile !== undefined) {
    return { certFile: certificateFile, keyFile: privateKeyFile };
  }
  throw contradiction('certificateFile and privateKeyFile say nothing without each other');
}

function loginOf(
  { nkeySeedFile, credentialsFile }: NatsFile,
  contradiction: Contradiction,
): NatsLogin | undefined {
  if (nkeySeedFile !== undefined && credentialsFile !== undefined) {
    throw contradiction('nkeySeedFile and credentialsFile exclude each other');
  }
  if (nkeySeedFile !== undefined) return { nkeySeedFile };
  return credentialsFile === undefined ? undefined : { credentialsFile };
}
