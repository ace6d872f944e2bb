import { FactsClient, FactsFeed, FactsView } from '../facts/index.ts';
import { type TrustMapSource, TrustplaneError } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import type { Config } from './config.ts';
import { openAuthz } from './open-authz.ts';
import { createProcess, type Process } from './process.ts';
import { type Running, runProcess } from './run-process.ts';

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
  const { clock, closing, log, metrics, readiness } = process;
  const view = new FactsView(trustDomain);
  const client = new FactsClient({ socket, view, clock, random: Math.random, log, metrics });
  closing.defer(() => client.close());
  readiness.require('facts', () =>
    view.isComplete ? undefined : `everything is denied: ${client.fault ?? 'no facts yet'}`,
  );
  readiness.observe('agent', () => client.fault);
  const feed = new FactsFeed({ source: view, clock });
  closing.defer(() => feed.close());
  const trust: TrustMapSource = {
    current: () => view.trust(),
    watch: (told) => view.watch(() => told(view.trust())),
  };
  const policies = {
    current: () => view.policies(),
    watch: (told: () => void) => view.watch(told),
  };
  await openAuthz(authz, config, process, { feed, trust, policies });
  return { authz, informed: informed(view) };
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
