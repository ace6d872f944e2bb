import type { Selector, SpiffeId } from '../../spiffe/index.ts';

/** What an attestor found out about a node. */
export interface AttestedNode {
  /** Of the agent's SPIFFE ID: `/spire/agent/<attestor>/…`. */
  readonly agentPath: string;
  /** The same node by another form of its evidence; no two of them are agents. */
  readonly twinPath?: string | undefined;
  /** True facts; one that is missing entitles to nothing. */
  readonly selectors: readonly Selector[];
  /** It can prove itself again at any time. */
  readonly canReattest: boolean;
  /** Trust on first use: refused where an agent of this ID is attested already, until that is evicted. */
  readonly isFirstUseOnly?: true;
  /** What the agent is to be known as as well. */
  readonly alias?: SpiffeId | undefined;
  /** It is an agent already, of whatever attestor, and proved the key of this SVID of its own. */
  readonly returning?: ReturningSvid | undefined;
}

/** The last SVID of an agent. */
export interface ReturningSvid {
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
}

/** Sends a challenge to the node and resolves with what it answers. */
export type Challenge = (challenge: Uint8Array) => Promise<Uint8Array>;

/** The server's side of one way for nodes to prove who they are. */
export interface NodeAttestor {
  /** The attestation type on the wire, and the type of the selectors. */
  readonly name: string;
  /** @throws TrustplaneError ERR_NODE_ATTEST_*, ERR_X509_*, ERR_JOIN_TOKEN_*; what `challenge` throws */
  attest(payload: Uint8Array, challenge: Challenge): Promise<AttestedNode>;
}

/** One attempt of a node to prove who it is. */
export interface NodeEvidence {
  readonly payload: Uint8Array;
  /** @throws TrustplaneError ERR_NODE_ATTEST_CHALLENGE */
  answer(challenge: Uint8Array): Promise<Uint8Array>;
  /** Ends what was begun for the attempt, whatever came of it; never throws. */
  end?(): void;
}

/** The agent's side. */
export interface NodeAttestation {
  readonly name: string;
  /** Begins anew, with the credentials of this moment. @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY */
  begin(): Promise<NodeEvidence>;
}
