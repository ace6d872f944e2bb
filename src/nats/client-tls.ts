import { type ConnectionOptions, checkServerIdentity } from 'node:tls';
import type { NodeConnectionOptions } from '@nats-io/transport-node';
import {
  type Clock,
  encodePem,
  messageOf,
  parseX509Svid,
  TrustplaneError,
  verifyX509Svid,
} from '../spiffe/index.ts';
import type { NamedNatsServer, NatsIdentity, NatsTls, SpiffeNatsServer } from './nats-options.ts';

/** More certificates than any SVID may have are not read. */
const MAX_CHAIN = 16;

/** What the NATS client hands to Node's TLS; the files it reads itself, again for each connection. */
export type ClientTlsOptions = NonNullable<NodeConnectionOptions['tls']> &
  Pick<ConnectionOptions, PassedOn>;

type PassedOn = 'minVersion' | 'allowPartialTrustChain' | 'checkServerIdentity';

/**
 * TLS options whose values are made when they are read, which the NATS client does for each
 * connection: a renewed identity, bundle or file is in force from the next connection on.
 * @param ipAddresses of the nats-servers that are not known by a name
 */
export function buildClientTls(
  { identity, server }: NatsTls,
  ipAddresses: readonly string[],
  clock: Clock,
  onRefused: (error: TrustplaneError) => void,
): ClientTlsOptions {
  // Own getters, joined by defineProperties: a spread would read them once and for all.
  const parts = [
    { minVersion: 'TLSv1.2' },
    typeof identity === 'function' ? liveIdentity(identity) : { ...identity },
    'serverId' in server ? liveTrust(server, clock, onRefused) : namedTrust(server, ipAddresses),
  ];
  const descriptors = parts.map((part) => Object.getOwnPropertyDescriptors(part));
  return Object.defineProperties({}, Object.assign({}, ...descriptors));
}

/** Node takes a server for localhost of which the NATS client does not say the name, because it has none. */
function namedTrust({ caFile }: NamedNatsServer, ipAddresses: readonly string[]): ClientTlsOptions {
  return {
    ...(caFile !== undefined && { caFile }),
    checkServerIdentity(host, certificate) {
      const hosts = host === 'localhost' ? [...ipAddresses, host] : [host];
      const faults = hosts.map((each) => checkServerIdentity(each, certificate));
      return faults.includes(undefined) ? undefined : faults[0];
    },
  };
}

function liveIdentity(identity: () => NatsIdentity | undefined): ClientTlsOptions {
  return {
    get cert() {
      return pemOf(identity()?.certificateChain ?? []);
    },
    get key() {
      const now = identity();
      return now === undefined ? '' : encodePem('PRIVATE KEY', now.privateKey);
    },
  };
}

/**
 * OpenSSL checks the chain against the bundle, so that nothing is sent to a server without one; then
 * the chain is judged as every SVID is, and its SPIFFE ID takes the place of the host name.
 */
function liveTrust(
  server: SpiffeNatsServer,
  clock: Clock,
  onRefused: (error: TrustplaneError) => void,
): ClientTlsOptions {
  return {
    get ca() {
      return pemOf(server.bundle().x509Authorities.map(({ certificate }) => certificate));
    },
    allowPartialTrustChain: true,
    checkServerIdentity: (_host, certificate) => {
      const fault = judge(certificate, server, clock);
      if (fault !== undefined) onRefused(fault);
      return fault;
    },
  };
}

function pemOf(certificates: readonly Uint8Array[]): string {
  return certificates.map((der) => encodePem('CERTIFICATE', der)).join('');
}

function judge(
  certificate: Presented,
  server: SpiffeNatsServer,
  clock: Clock,
): TrustplaneError | undefined {
  const { serverId } = server;
  try {
    const svid = parseX509Svid(chainOf(certificate));
    verifyX509Svid(svid, server.bundle(), clock.now());
    if (svid.spiffeId.equals(serverId)) return undefined;
    return refused(`should be ${serverId.toString()}; it is ${svid.spiffeId.toString()}`);
  } catch (error) {
    return refused(`should be ${serverId.toString()}: ${messageOf(error)}`);
  }
}

/** What was presented, leaf first, with the authority that OpenSSL found for it at the end. */
function chainOf(leaf: Presented): readonly Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate: Presented | undefined = leaf;
  while (certificate !== undefined && chain.length < MAX_CHAIN) {
    chain.push(certificate.raw);
    const issuer: Presented | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}

/** A root is its own issuer. */
interface Presented {
  readonly raw: Uint8Array;
  readonly issuerCertificate?: Presented;
}

function refused(reason: string): TrustplaneError {
  return new TrustplaneError('ERR_NATS_SERVER_ID', `the nats-server ${reason}`);
}
