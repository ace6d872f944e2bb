import { hostname } from 'node:os';
import { type NatsIdentity, type NatsLink, type NatsTls, openNats } from '../nats/index.ts';
import {
  type Bundle,
  emptyBundle,
  type TrustDomain,
  type TrustMapSource,
} from '../spiffe/index.ts';
import type { NatsConfig } from './nats-config.ts';
import type { Process } from './process.ts';

/** Who connects. */
export interface NatsParty {
  /** server: it publishes, so that its certificate has to be mapped to a user; agent: it reads. */
  readonly role: 'server' | 'agent';
  /** Its SVID now; undefined, or an error, while there is none. */
  identity(): NatsIdentity | undefined;
  readonly trust: TrustMapSource;
}

/**
 * A connection to NATS, made in the background, closed with `process`.
 * @param purpose default: what bundles are broadcast on
 * @throws TrustplaneError ERR_NATS_*
 */
export function openNatsLink(
  config: NatsConfig,
  { clock, log, metrics, closing, readiness }: Process,
  party: NatsParty,
  purpose: 'broadcast' | 'decisions' = 'broadcast',
): NatsLink {
  const { servers, allowPlaintext } = config;
  const tls = buildTls(config, party);
  const link = openNats({
    servers,
    purpose,
    name: `${party.role} ${hostname()}`,
    tls,
    // Whoever says nothing is a reader.
    login:
      config.login ?? (tls !== undefined && party.role === 'server' ? 'certificate' : undefined),
    allowPlaintext,
    clock,
    log,
    metrics,
  });
  closing.defer(() => link.close());
  readiness.observe(purpose === 'broadcast' ? 'nats' : `nats ${purpose}`, () => link.fault);
  return link;
}

function buildTls(config: NatsConfig, party: NatsParty): NatsTls | undefined {
  const { servers, serverId, caFile } = config;
  if (!servers.some((server) => server.startsWith('tls://'))) return undefined;
  const identity = config.identity ?? (() => party.identity());
  if (serverId === undefined) return { identity, server: { caFile } };
  const bundle = (): Bundle => bundleOf(party.trust, serverId.trustDomain);
  return { identity, server: { serverId, bundle } };
}

/** Nobody is trusted below the bundle of a trust domain that there is none of. */
function bundleOf(trust: TrustMapSource, trustDomain: TrustDomain): Bundle {
  const { own, federated } = trust.current();
  if (trustDomain.equals(own.trustDomain)) return own;
  return federated.get(trustDomain.name) ?? emptyBundle(trustDomain);
}
