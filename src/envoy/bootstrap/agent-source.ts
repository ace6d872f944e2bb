import type { BootstrapOptions } from './bootstrap-options.ts';
import { note, Shared, type TreeMap } from './commented-tree.ts';

export const agentCluster = 'trustplane_agent';

/**
 * Where secrets and rules come from. One value for all of them: Envoy loses a secret whose config
 * source changes while it runs.
 */
export function agentSource(options: BootstrapOptions): Shared {
  const why =
    'One source for all that comes from the agent, byte for byte: Envoy loses a secret whose source changes while it runs.';
  return sourceOf('agent', why, options.isAggregated ? { ads: {} } : ownStream(options));
}

/**
 * Where secrets of clusters come from: those of static clusters over ADS crash an Envoy at its start
 * (envoyproxy/envoy#15517), so with ADS they have a stream of their own.
 */
export function clusterSource(options: BootstrapOptions): Shared {
  if (!options.isAggregated) return agentSource(options);
  const why = 'Not over ADS: secrets of clusters would crash this Envoy at its start.';
  return sourceOf('agent_clusters', why, ownStream(options));
}

function ownStream(options: BootstrapOptions): TreeMap {
  return { api_config_source: apiSource(options) };
}

function sourceOf(anchor: string, why: string, more: TreeMap): Shared {
  return new Shared(anchor, why, {
    resource_api_version: 'V3',
    initial_fetch_timeout: note(
      'Wait for the identity however long it takes. The default of 15 s ends in a listener that is open, has no certificate and resets every connection.',
      '0s',
    ),
    ...more,
  });
}

/** The stream that carries everything; undefined where each kind has its own. */
export function aggregatedSource(options: BootstrapOptions): TreeMap | undefined {
  if (!options.isAggregated) return undefined;
  return {
    ads_config: note(
      'One stream for secrets and rules: what `ads: {}` means below.',
      apiSource(options),
    ),
  };
}

function apiSource({ protocol }: BootstrapOptions): TreeMap {
  return {
    api_type:
      protocol === 'delta'
        ? note('After a reconnect only what changed is sent.', 'DELTA_GRPC')
        : note('Everything is sent again after a reconnect; DELTA_GRPC resumes.', 'GRPC'),
    transport_api_version: 'V3',
    set_node_on_first_message_only: true,
    grpc_services: [
      {
        envoy_grpc: {
          cluster_name: agentCluster,
          retry_policy: note(
            'After a restart of the agent Envoy is back within a second; the default backs off up to 30 s.',
            { retry_back_off: { base_interval: '0.1s', max_interval: '1s' } },
          ),
        },
      },
    ],
  };
}
