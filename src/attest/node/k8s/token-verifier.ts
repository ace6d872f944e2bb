import type { Clock, JsonObject, JsonValue } from '../../../spiffe/index.ts';
import type { KeySource } from '../cloud/key-source.ts';
import { refused } from '../cloud/refused.ts';
import {
  parseSignedToken,
  readTextClaim,
  requireIssuer,
  requireSignature,
  requireTime,
  shown,
} from '../cloud/signed-token.ts';
import { type ClusterVerifier, k8sLabel, k8sName, k8sUid, type PodIdentity } from './pod-facts.ts';

const ALGORITHMS: ReadonlySet<string> = new Set(['RS256', 'ES256', 'ES384', 'ES512']);
const LEEWAY_MS = 30_000;
const MAX_LIFETIME_MS = 86_400_000;

/**
 * Judges tokens of a cluster by the keys of its issuer, without asking the cluster. The node is the one
 * that stands in the token: Kubernetes writes it there from 1.30 on.
 */
export function createTokenVerifier(options: {
  readonly issuer: string;
  readonly audiences: readonly string[];
  readonly keys: KeySource;
  readonly clock: Clock;
}): ClusterVerifier {
  const { issuer, audiences, keys, clock } = options;
  return {
    async identify(text) {
      const token = parseSignedToken(text, ALGORITHMS);
      // Before its key is looked for: keys of this cluster are for its own issuer alone.
      requireIssuer(token, [issuer]);
      requireSignature(token, await keys.find(token.keyId));
      const { claims } = token;
      requireAnyAudience(claims, audiences);
      const now = clock.now();
      requireTime(token, { now, leewayMs: LEEWAY_MS, maxLifetimeMs: MAX_LIFETIME_MS });
      return readIdentity(claims);
    },
    async describe({ nodeName, nodeUid }) {
      if (nodeName === undefined || nodeUid === undefined)
        throw lacking('no node stands in it: the cluster has to be Kubernetes 1.30 or later');
      return {
        nodeName,
        nodeUid,
        nodeIp: undefined,
        nodeLabels: new Map(),
        podLabels: new Map(),
      };
    },
  };
}

function requireAnyAudience(claims: JsonObject, expected: readonly string[]): void {
  const audience = claims.get('aud');
  const given: readonly JsonValue[] = isArray(audience) ? audience : [];
  if (expected.some((each) => given.includes(each))) return;
  const message = `the token is to be meant for ${expected.join(' or ')}; got ${shown(audience)}`;
  throw refused('ERR_NODE_ATTEST_AUDIENCE', message);
}

function readIdentity(claims: JsonObject): PodIdentity {
  const bound = claims.get('kubernetes.io');
  if (!(bound instanceof Map)) throw lacking('kubernetes.io is not there');
  const namespace = readTextClaim(bound, 'namespace', k8sLabel);
  const serviceAccount = readTextClaim(member(bound, 'serviceaccount'), 'name', k8sName);
  const subject = `system:serviceaccount:${namespace}:${serviceAccount}`;
  if (claims.get('sub') !== subject)
    throw lacking(`sub is to be ${subject}; got ${shown(claims.get('sub'))}`);
  const pod = member(bound, 'pod');
  const node = bound.has('node') ? member(bound, 'node') : undefined;
  return {
    namespace,
    serviceAccount,
    podName: readTextClaim(pod, 'name', k8sName),
    podUid: readTextClaim(pod, 'uid', k8sUid),
    nodeName: node && readTextClaim(node, 'name', k8sName),
    nodeUid: node && readTextClaim(node, 'uid', k8sUid),
  };
}

function member(bound: JsonObject, name: string): JsonObject {
  const value = bound.get(name);
  if (value instanceof Map) return value;
  throw lacking(`it is bound to no ${name}`);
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}

function lacking(why: string): Error {
  return refused('ERR_NODE_ATTEST_CLAIMS', `the token of the pod cannot be used: ${why}`);
}
