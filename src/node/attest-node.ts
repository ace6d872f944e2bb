import {
  buildCsr,
  type Clock,
  messageOf,
  type P256KeyPair,
  type SpiffeId,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { WireX509Svid } from './node-identity.ts';
import type { ServerLink, ServerStream } from './server-link.ts';

const TIMEOUT_MS = 30_000;
const MAX_CHALLENGES = 16;

/** One attempt to prove what this node is. */
interface Evidence {
  /** The attestation type on the wire. */
  readonly type: string;
  readonly payload: Uint8Array;
  answer(challenge: Uint8Array): Promise<Uint8Array>;
  /** Ends what was begun for the attempt, whatever came of it; never throws. */
  end?(): void;
}

/** One way for this node to prove what it is. */
export interface NodeAttestation {
  /** The attestation type on the wire. */
  readonly name: string;
  begin(): Promise<Omit<Evidence, 'type'>>;
}

/** AttestAgentResponse. */
interface Step {
  readonly challenge?: Uint8Array;
  readonly result?: { readonly svid?: WireX509Svid | null; readonly reattestable?: boolean } | null;
}

export interface AttestedSvid {
  readonly svid: WireX509Svid | null | undefined;
  readonly canReattest: boolean;
}

/** What is missing on this host is no fault of a server. @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY */
export async function beginAttestation(attestation: NodeAttestation): Promise<Evidence> {
  try {
    return { type: attestation.name, ...(await attestation.begin()) };
  } catch (error) {
    const message = `this node cannot attest itself: ${messageOf(error)}`;
    throw new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', message, { cause: error });
  }
}

/**
 * The agent's side of AttestAgent: what it proves itself with, an answer to each challenge, the result.
 * @throws TrustplaneError ERR_NODE_ATTEST_*, ERR_NODE_ANSWER, ERR_NODE_UNREACHABLE, what the server says
 */
export async function attestNode(
  link: ServerLink,
  evidence: Evidence,
  keys: P256KeyPair,
  clock: Clock,
): Promise<AttestedSvid> {
  const stream = link.stream<Step>('Agent.AttestAgent');
  const timer = clock.setTimer(TIMEOUT_MS, () => stream.cancel());
  try {
    const data = { type: evidence.type, payload: evidence.payload };
    stream.send({ params: { data, params: { csr: buildCsr(keys) } } });
    return await converse(stream, evidence);
  } finally {
    timer.cancel();
    stream.cancel();
  }
}

async function converse(stream: ServerStream<Step>, evidence: Evidence): Promise<AttestedSvid> {
  for (let challenges = 0; challenges <= MAX_CHALLENGES; challenges++) {
    const step = await stream.read();
    if (step?.result) {
      stream.end();
      return { svid: step.result.svid, canReattest: step.result.reattestable === true };
    }
    if (step?.challenge === undefined) throw strange('neither a challenge nor a result');
    stream.send({ challenge_response: await evidence.answer(step.challenge) });
  }
  throw strange(`more than ${MAX_CHALLENGES} challenges`);
}

function strange(what: string): TrustplaneError {
  return new TrustplaneError('ERR_NODE_ANSWER', `the server answered an attestation with ${what}`);
}

/** Asks for the next SVID of an agent that cannot attest again. @throws as `ServerLink.call` */
export async function renewNode(
  link: ServerLink,
  agentId: SpiffeId,
  keys: P256KeyPair,
): Promise<WireX509Svid | null | undefined> {
  const csr = buildCsr({ ...keys, spiffeId: agentId });
  const request = { params: { csr } };
  return (await link.call<{ svid?: WireX509Svid | null }>('Agent.RenewAgent', request)).svid;
}
