import type { FactsFeed } from '../facts/index.ts';
import { type PolicyTaker, type TrustMapSource, TrustplaneError } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { both } from './both.ts';
import type { Config } from './config.ts';
import { followDelivered, watchTaker } from './follow-delivered.ts';
import type { DeliveredPolicies } from './host-facts.ts';
import { laterPolicies } from './later-policies.ts';
import { startPolicyCompiler } from './policy-compiler.ts';
import { followPolicies } from './policy-directory.ts';
import type { PolicySource } from './policy-source.ts';
import type { Process } from './process.ts';
import type { DecisionPublisher } from './publish-decisions.ts';
import { type AuthzServer, startAuthz } from './start-authz.ts';

/** What decisions are made of. */
export interface AuthzSources {
  /** Whom to trust and who was revoked. */
  readonly feed: Pick<FactsFeed, 'open'>;
  readonly trust: TrustMapSource;
  /** What the servers deliver; undefined: nothing comes from them. */
  readonly policies?: DeliveredPolicies | undefined;
  /** Told what has the delivered policies in force, after each change. */
  readonly onPolicyTaker?: ((taker: PolicyTaker) => void) | undefined;
}

type AuthzHost = Pick<Config, 'trustDomain' | 'socket'>;
interface Followed {
  readonly source: PolicySource;
  /** Resolves when the first policies were looked at. */
  readonly opened: Promise<unknown>;
  readonly told: (server: AuthzServer) => void;
}

/**
 * Begins to answer proxies' questions about requests; closed with `process`.
 * @throws TrustplaneError ERR_SOCKET_*, ERR_LISTEN, ERR_TLS_IDENTITY, ERR_NATS_*, ERR_CONFIG
 */
export async function openAuthz(
  config: AuthzConfig,
  { trustDomain, socket: agentSocket }: AuthzHost,
  process: Process,
  sources: AuthzSources,
): Promise<AuthzServer> {
  // While they are compiled the thread that decides begins: a start after a crash is short.
  const { source, opened, told } = openPolicies(config, process, sources);
  const { feed, trust } = sources;
  const publisher = await openPublisher(config, process, trust);
  const starting = startAuthz({
    config,
    process,
    trustDomain,
    agentSocket,
    facts: feed,
    policies: source,
    openDecisions: publisher && (() => publisher.openPort()),
  });
  const [server] = await both(starting, opened);
  told(server);
  return server;
}

function openPolicies(
  { policies }: AuthzConfig,
  process: Process,
  { policies: delivered, onPolicyTaker }: AuthzSources,
): Followed {
  const { closing, clock } = process;
  if (typeof policies === 'string') {
    const opened = followPolicies({ ...process, directory: policies });
    closing.defer(async () => await (await opened).close());
    return { source: laterPolicies(opened), opened, told: () => {} };
  }
  if (delivered === undefined)
    throw new TrustplaneError('ERR_CONFIG', 'authz.policies: no control plane delivers here');
  const compiler = startPolicyCompiler();
  closing.defer(() => compiler.close());
  const source = followDelivered({ ...process, delivered, compiler });
  closing.defer(() => source.close());
  const told = (server: AuthzServer): void => {
    if (onPolicyTaker === undefined) return;
    closing.defer(watchTaker('authz', source, server, clock, onPolicyTaker));
  };
  return { source, opened: Promise.resolve(), told };
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
