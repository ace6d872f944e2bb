import {
  FactsClient,
  FactsFeed,
  type FactsReport,
  type FactsSource,
  FactsView,
  LapsingFacts,
} from '../facts/index.ts';
import { type PolicyTaker, type TrustMapSource, TrustplaneError } from '../spiffe/index.ts';
import { type AuthzConfig, isAsked } from './authz-config.ts';
import type { Config } from './config.ts';
import { openAuthz } from './open-authz.ts';
import { openPolicySource } from './open-policy-source.ts';
import { createProcess, type Process } from './process.ts';
import { type Running, runProcess } from './run-process.ts';
import type { AuthzServer } from './start-authz.ts';
import { version } from './version.ts';

/** An authorization server of its own, serving. */
export interface AuthzRun {
  readonly authz: AuthzConfig;
  /** Resolves when the agent has told all it knows; by then everything is denied. */
  readonly informed: Promise<void>;
}

/**
 * Starts an authorization server that goes by what the agent of its host tells; resolves when it
 * answers, whether the agent is there or not.
 * @throws TrustplaneError ERR_CONFIG without a section authz; of whatever could not be opened: then nothing is left open
 */
export async function startAuthzRun(
  config: Config,
  process: Process = createProcess(config.logLevel),
): Promise<AuthzRun & Running> {
  return await runProcess(config, process, () => start(config, process));
}

async function start(config: Config, process: Process): Promise<AuthzRun> {
  const { authz, trustDomain, socket } = config;
  if (authz === undefined) {
    throw new TrustplaneError('ERR_CONFIG', 'expected a section authz; got none (--config)');
  }
  if (!isAsked(authz)) {
    throw new TrustplaneError('ERR_CONFIG', 'authz: expected socket, listen or both; got neither');
  }
  const { clock, closing, log, metrics, readiness } = process;
  const view = new FactsView(trustDomain);
  const client = new FactsClient({ socket, view, clock, random: Math.random, log, metrics });
  closing.defer(() => client.close());
  readiness.require('facts', () =>
    view.isComplete ? undefined : `everything is denied: ${client.fault ?? 'no facts yet'}`,
  );
  readiness.observe('agent', () => client.fault);
  const source = openLapse(authz, process, view, client);
  const feed = new FactsFeed({ source, tellsPolicies: false, clock });
  closing.defer(() => feed.close());
  const trust: TrustMapSource = {
    current: () => view.trust(),
    watch: (told) => view.watch(() => told(view.trust())),
  };
  const delivered = {
    current: () => view.policies(),
    watch: (told: () => void) => view.watch(told),
  };
  const policies = openPolicySource(authz.policies, process, delivered);
  const { socket: checks, listen } = authz;
  const name = `authz ${checks ?? `${listen?.host}:${listen?.port}`}`;
  const onPolicyTaker = (taker: PolicyTaker): void =>
    client.report({ ...taker, name, version: version() });
  const server = await openAuthz(authz, config, process, { feed, trust, policies, onPolicyTaker });
  if (typeof authz.policies === 'string') {
    const report = (digest: string): void =>
      client.report({ ...ownPolicies(digest, clock.now()), name, version: version() });
    closing.defer(watchInForce(server, report));
  }
  return { authz, informed: informed(view) };
}

/** Facts that are good for as long as they may be. */
function openLapse(
  { factsMaxAgeMs }: AuthzConfig,
  { clock, closing, readiness }: Process,
  view: FactsView,
  client: FactsClient,
): FactsSource {
  if (factsMaxAgeMs === undefined) return view;
  const ageMs = (): number | undefined => client.ageMs;
  const lapsing = new LapsingFacts({ source: view, ageMs, maxAgeMs: factsMaxAgeMs, clock });
  closing.defer(() => lapsing.close());
  readiness.require('facts-age', () =>
    lapsing.hasLapsed ? 'nobody is trusted: the agent has told nothing for too long' : undefined,
  );
  return lapsing;
}

/** Policies of this host's own: no version, and nothing that was refused to anybody. */
function ownPolicies(digest: string, since: number): Omit<FactsReport, 'name' | 'version'> {
  return { digest, hash: undefined, since, fault: undefined, refused: undefined };
}

function watchInForce(server: AuthzServer, told: (digest: string) => void): () => void {
  const look = (): void => {
    const digest = server.inForce();
    if (digest !== undefined) told(digest);
  };
  look();
  return server.watch(look);
}

async function informed(view: FactsView): Promise<void> {
  if (view.isComplete) return;
  await new Promise<void>((resolve) => {
    const stop = view.watch(() => {
      stop();
      resolve();
    });
  });
}
