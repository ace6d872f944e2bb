import type { ExtensionSource } from '../ecds/index.ts';
import type { PolicyTaker, TrustMapSource } from '../spiffe/index.ts';
import { type AuthzConfig, isAsked } from './authz-config.ts';
import type { Config } from './config.ts';
import type { DeliveredPolicies } from './host-facts.ts';
import type { OpenFacts } from './open-facts.ts';
import { type OpenPolicySource, openPolicySource } from './open-policy-source.ts';
import { openRbac } from './open-rbac.ts';
import { showPolicies } from './policy-health.ts';
import type { Process } from './process.ts';

/** What an agent's host decides requests by. */
export interface HostAuthzSources {
  readonly facts: OpenFacts;
  readonly trust: TrustMapSource;
  /** What the servers deliver; undefined: nothing comes from them. */
  readonly policies?: DeliveredPolicies | undefined;
  /** Told what has the delivered policies in force, after each change. */
  readonly onPolicyTaker?: ((taker: PolicyTaker) => void) | undefined;
  /** The same of the Envoys of this host. */
  readonly onEnvoys?: ((takers: readonly PolicyTaker[]) => void) | undefined;
}

/** Policies, and all that decides by them. */
export interface HostAuthz {
  /** What Envoys are given; undefined: nothing. */
  readonly extensions: ExtensionSource | undefined;
  /** Begins to answer checks, where somebody is to ask; then the first policies were looked at. */
  serve(): Promise<void>;
}

/** Closed with `process`. @throws TrustplaneError ERR_CONFIG */
export function openHostAuthz(
  config: AuthzConfig,
  host: Pick<Config, 'trustDomain' | 'socket'>,
  process: Process,
  sources: HostAuthzSources,
): HostAuthz {
  const { facts, trust, onPolicyTaker, onEnvoys } = sources;
  const policies = openPolicySource(config.policies, process, sources.policies);
  const { rbac } = config;
  const extensions =
    rbac === undefined
      ? undefined
      : openRbac({ ...config, rbac }, process, { policies, facts: facts.source, onEnvoys });
  return {
    extensions,
    async serve() {
      if (!isAsked(config)) return await serveAlone(config, process, policies, onPolicyTaker);
      const { openAuthz } = await import('./open-authz.ts');
      await openAuthz(config, host, process, { feed: facts.feed, trust, policies, onPolicyTaker });
    },
  };
}

/** Nobody is asked, so that what is compiled is all that this process does with policies. */
async function serveAlone(
  config: AuthzConfig,
  process: Process,
  policies: OpenPolicySource,
  onPolicyTaker: HostAuthzSources['onPolicyTaker'],
): Promise<void> {
  const { source, opened } = policies;
  const inForce = (): string | undefined => source.current()?.digest;
  showPolicies(process, config.policies, source, inForce);
  const ready = { inForce, watch: (listener: () => void) => source.watch(listener) };
  if (onPolicyTaker !== undefined) policies.watchTaker('rbac', ready, onPolicyTaker);
  await opened;
}
