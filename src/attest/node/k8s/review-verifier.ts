import type { JsonObject, JsonValue } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';
import { shown } from '../cloud/signed-token.ts';
import type { KubeApi } from './kube-api.ts';
import {
  type ClusterVerifier,
  k8sLabel,
  k8sName,
  k8sUid,
  type NodeFacts,
  type PodIdentity,
} from './pod-facts.ts';

const USERNAME = /^system:serviceaccount:([^:]+):([^:]+)$/u;
const EXTRA = 'authentication.kubernetes.io/';

/** Has the API server of the cluster judge each token, and tell of its pod and node. */
export function createReviewVerifier(api: KubeApi, audiences: readonly string[]): ClusterVerifier {
  return {
    async identify(token) {
      const status = await api.reviewToken(token, audiences);
      requireAuthenticated(status, audiences);
      const user = status.get('user');
      if (!(user instanceof Map)) throw unreviewed('it names no user');
      return readIdentity(user);
    },
    async describe(pod) {
      const { namespace, podName } = pod;
      const found = await api.findPod(namespace, podName);
      if (found === undefined) throw otherPod(`there is no pod ${namespace}/${podName}`);
      const { nodeName, nodeIp, podLabels } = readPod(found, pod);
      const node = await api.findNode(nodeName);
      if (node === undefined) throw otherPod(`there is no node ${nodeName}`);
      return { nodeName, nodeIp, podLabels, ...readNode(node, nodeName, pod) };
    },
  };
}

/** An API server that knows nothing of audiences names none: the token may be meant for others. */
function requireAuthenticated(status: JsonObject, audiences: readonly string[]): void {
  const error = status.get('error') ?? '';
  if (error !== '') throw unreviewed(`it says ${shown(error)}`);
  if (status.get('authenticated') !== true) throw unreviewed('it is not authenticated');
  const meant = status.get('audiences');
  const isMeant = isArray(meant) && audiences.some((audience) => meant.includes(audience));
  if (isMeant) return;
  const message = `the token is to be meant for ${audiences.join(' or ')}; its cluster says ${shown(meant)}`;
  throw refused('ERR_NODE_ATTEST_AUDIENCE', message);
}

function readIdentity(user: JsonObject): PodIdentity {
  const username = user.get('username');
  const [, namespace = '', serviceAccount = ''] =
    typeof username === 'string' ? (USERNAME.exec(username) ?? []) : [];
  if (!k8sLabel.test(namespace) || !k8sName.test(serviceAccount))
    throw unreviewed(`it is of no service account: ${shown(username)}`);
  const extra = user.get('extra');
  const members = extra instanceof Map ? extra : new Map<string, JsonValue>();
  const podName = only(members, 'pod-name', k8sName);
  const podUid = only(members, 'pod-uid', k8sUid);
  if (podName === undefined || podUid === undefined)
    throw unreviewed('it is bound to no pod: it has to be a projected token');
  const nodeName = only(members, 'node-name', k8sName);
  const nodeUid = only(members, 'node-uid', k8sUid);
  return { namespace, serviceAccount, podName, podUid, nodeName, nodeUid };
}

/** Undefined: it is not there. */
function only(extra: JsonObject, name: string, form: RegExp): string | undefined {
  const values = extra.get(`${EXTRA}${name}`);
  if (values === undefined) return undefined;
  const [value, ...others] = isArray(values) ? values : [];
  if (typeof value === 'string' && others.length === 0 && form.test(value)) return value;
  throw unreviewed(`its ${name} is not one name: ${shown(values)}`);
}

function readPod(found: JsonObject, pod: PodIdentity) {
  const metadata = part(found, 'metadata', 'pod');
  const spec = part(found, 'spec', 'pod');
  const status = part(found, 'status', 'pod');
  const { podName, podUid, namespace, serviceAccount } = pod;
  if (metadata.get('name') !== podName || metadata.get('namespace') !== namespace)
    throw otherPod('the API server tells of another pod than was asked for');
  if (metadata.get('uid') !== podUid)
    throw otherPod(`the pod ${namespace}/${podName} is another one since the token was made`);
  if (spec.get('serviceAccountName') !== serviceAccount)
    throw otherPod(`the pod ${namespace}/${podName} runs as another service account`);
  const phase = status.get('phase');
  if (phase === 'Succeeded' || phase === 'Failed')
    throw otherPod(`the pod ${namespace}/${podName} has ended (${phase})`);
  const nodeName = spec.get('nodeName');
  if (typeof nodeName !== 'string' || !k8sName.test(nodeName))
    throw otherPod(`the pod ${namespace}/${podName} is on no node yet`);
  if (pod.nodeName !== undefined && pod.nodeName !== nodeName)
    throw otherPod(`the token is of another node than ${nodeName}, where the pod is`);
  const hostIp = status.get('hostIP');
  const nodeIp = typeof hostIp === 'string' && hostIp !== '' ? hostIp : undefined;
  return { nodeName, nodeIp, podLabels: labelsOf(metadata) };
}

function readNode(
  node: JsonObject,
  name: string,
  pod: PodIdentity,
): Pick<NodeFacts, 'nodeUid' | 'nodeLabels'> {
  const metadata = part(node, 'metadata', 'node');
  if (metadata.get('name') !== name)
    throw otherPod('the API server tells of another node than was asked for');
  const nodeUid = metadata.get('uid');
  if (typeof nodeUid !== 'string' || !k8sUid.test(nodeUid))
    throw otherPod(`the node ${name} has no UID`);
  if (pod.nodeUid !== undefined && pod.nodeUid !== nodeUid)
    throw otherPod(`the node ${name} is another one since the token was made`);
  return { nodeUid, nodeLabels: labelsOf(metadata) };
}

function labelsOf(metadata: JsonObject): ReadonlyMap<string, string> {
  const labels = metadata.get('labels');
  const texts = new Map<string, string>();
  if (!(labels instanceof Map)) return texts;
  for (const [key, value] of labels) if (typeof value === 'string') texts.set(key, value);
  return texts;
}

function part(object: JsonObject, name: string, what: string): JsonObject {
  const value = object.get(name);
  if (value instanceof Map) return value;
  throw refused('ERR_NODE_ATTEST_API', `the API server tells of a ${what} without ${name}`);
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function unreviewed(why: string): Error {
  return refused('ERR_NODE_ATTEST_REVIEW', `the cluster does not vouch for the token: ${why}`);
}

function otherPod(message: string): Error {
  return refused('ERR_NODE_ATTEST_POD', message);
}
