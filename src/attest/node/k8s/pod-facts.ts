/** What a cluster says of the pod that a token is bound to. */
export interface PodIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly podName: string;
  readonly podUid: string;
  /** As the token says; undefined where it does not. */
  readonly nodeName: string | undefined;
  readonly nodeUid: string | undefined;
}

/** Of the node that the pod is on. */
export interface NodeFacts {
  readonly nodeName: string;
  readonly nodeUid: string;
  /** Undefined: nobody says. */
  readonly nodeIp: string | undefined;
  readonly nodeLabels: ReadonlyMap<string, string>;
  readonly podLabels: ReadonlyMap<string, string>;
}

/** Who is asked about tokens of a cluster. */
export interface ClusterVerifier {
  /** @throws TrustplaneError ERR_NODE_ATTEST_* */
  identify(token: string): Promise<PodIdentity>;
  /** @throws TrustplaneError ERR_NODE_ATTEST_POD, ERR_NODE_ATTEST_CLAIMS, ERR_NODE_ATTEST_API */
  describe(pod: PodIdentity): Promise<NodeFacts>;
}

/** RFC 1123, as Kubernetes has it. */
export const k8sLabel: RegExp = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/u;
export const k8sName: RegExp =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/u;
export const k8sUid: RegExp = /^[A-Za-z0-9-]{1,64}$/u;
