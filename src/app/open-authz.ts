import type { FactsFeed } from '../facts/index.ts';
import type { PolicyTaker, TrustMapSource } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import type { OpenPolicySource } from './open-policy-source.ts';
import type { Process } from './process.ts';
import type { DecisionPublisher } from './publish-decisions.ts';
import { type AuthzServer, startAuthz } from './start-authz.ts';

/** What decisions are made of. */
export interface AuthzSources {
  /** Whom to trust and who was revoked. */
  readonly feed: Pick<FactsFeed, 'open'>;
  readonly trust: TrustMapSource;
  /** Already on their way: while they are compiled the thread that decides begins, and a start after a crash is short. */
  readonly policies: OpenPolicySource;
  /** Told what has the delivered policies in force, after each change. */
  readonly onPolicyTaker?: ((taker: PolicyTaker) => void) | undefined;
}

type AuthzHost = Pick<Config, 'trustDomain' | 'socket'>;

/**
 * Begins to answer proxies' questions about requests; closed with `process`.
 * @throws TrustplaneError ERR_SOCKET_*, ERR_LISTEN, ERR_TLS_IDENTITY, ERR_NATS_*
 */
export async function openAuthz(
  config: AuthzConfig,
  { trustDomain, socket: agentSocket }: AuthzHost,
  process: Process,
  { feed, trust, policies, onPolicyTaker }: AuthzSources,
): Promise<AuthzServer> {
  const publisher = await openPublisher(config, process, trust);
  const starting = startAuthz({
    config,
    process,
    trustDomain,
    agentSocket,
    facts: feed,
    policies: policies.source,
    openDecisions: publisher && (() => publisher.openPort()),
  });
  const [server] = await both(starting, policies.opened);
  if (onPolicyTaker !== undefined) policies.watchTaker('authz', server, onPolicyTaker);
  return server;
}

/** The client of NATS is loaded where it is used. */
async function openPublisher(
  { decisionLog }: AuthzConfig,
  process: Process,
  trust: TrustMapSource,
): Promise<DecisionPublisher | undefined> {
  if (decisionLog?.nats === undefined) return undefined;
  const { publishDecisions } = await import('./publish-decisions.ts');
  return publishDecisions(decisionLog.nats, process, trust);
}
