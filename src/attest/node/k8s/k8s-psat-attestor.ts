import type { Log } from '../../../ops/index.ts';
import { quote } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';
import { selectorsOf } from '../cloud/select.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import type { ClusterVerifier, NodeFacts, PodIdentity } from './pod-facts.ts';
import { parsePsatPayload } from './psat-payload.ts';

const NAME = 'k8s_psat';

/** A cluster whose agents may join. */
export interface PsatCluster {
  readonly name: string;
  readonly verifier: ClusterVerifier;
  /** Of agents, as `<namespace>:<name>`. */
  readonly serviceAccounts: ReadonlySet<string>;
  readonly nodeLabelKeys: ReadonlySet<string>;
  readonly podLabelKeys: ReadonlySet<string>;
  /** The agent's ID is of its pod, not of its node. */
  readonly usesPodUid: boolean;
}

/**
 * The server's side of SPIRE's k8s_psat: an agent in a pod shows its projected service account token. The
 * cluster that it names decides who judges the token, and nothing else of what it says is believed.
 */
export function createK8sPsatAttestor(clusters: readonly PsatCluster[], log: Log): NodeAttestor {
  const byName = new Map(clusters.map((cluster) => [cluster.name, cluster]));
  return {
    name: NAME,
    async attest(payload) {
      const { cluster: name, token } = parsePsatPayload(payload);
      const cluster = byName.get(name);
      if (cluster === undefined) {
        const message = `there is no cluster ${quote(name)} whose agents may join`;
        throw refused('ERR_NODE_ATTEST_CLUSTER', message);
      }
      const pod = await cluster.verifier.identify(token);
      requireServiceAccount(pod, cluster);
      const node = await cluster.verifier.describe(pod);
      const id = cluster.usesPodUid ? `pod/${pod.podUid}` : node.nodeUid;
      return {
        agentPath: `/spire/agent/${NAME}/${name}/${id}`,
        selectors: selectorsOf(NAME, factsOf(cluster, pod, node), log),
        canReattest: true,
      };
    },
  };
}

function requireServiceAccount(
  { namespace, serviceAccount }: PodIdentity,
  { name, serviceAccounts }: PsatCluster,
): void {
  if (serviceAccounts.has(`${namespace}:${serviceAccount}`)) return;
  const message = `the service account ${namespace}:${serviceAccount} of the cluster ${name} is not one of agents`;
  throw refused('ERR_NODE_ATTEST_SERVICE_ACCOUNT', message);
}

function factsOf(cluster: PsatCluster, pod: PodIdentity, node: NodeFacts): readonly string[] {
  const labels = (of: ReadonlyMap<string, string>, keys: ReadonlySet<string>, kind: string) =>
    [...of].filter(([key]) => keys.has(key)).map(([key, value]) => `${kind}:${key}:${value}`);
  return [
    `cluster:${cluster.name}`,
    `agent_ns:${pod.namespace}`,
    `agent_sa:${pod.serviceAccount}`,
    `agent_pod_name:${pod.podName}`,
    `agent_pod_uid:${pod.podUid}`,
    ...(node.nodeIp === undefined ? [] : [`agent_node_ip:${node.nodeIp}`]),
    `agent_node_name:${node.nodeName}`,
    `agent_node_uid:${node.nodeUid}`,
    ...labels(node.nodeLabels, cluster.nodeLabelKeys, 'agent_node_label'),
    ...labels(node.podLabels, cluster.podLabelKeys, 'agent_pod_label'),
  ];
}
