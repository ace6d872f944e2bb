import { type JsonObject, quote, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { checkTimes, readSeconds, readSequence, readText, seconds } from './message-fields.ts';
import {
  type MessageSigner,
  type MessageTrust,
  malformed,
  openMessage,
  requireMembers,
  signMessage,
} from './signed-message.ts';

const TYPE = 'trustplane-ack+jws';
const MEMBERS = ['publisher', 'receiver', 'sequence', 'digest', 'iat', 'exp'];

/** What a receiver says that it holds. Instants in milliseconds since the epoch. */
export interface BundleAck {
  /** Whose bundle it is. */
  readonly publisher: TrustDomain;
  /** Who holds it. */
  readonly receiver: TrustDomain;
  readonly sequence: bigint;
  /** As `bundleDigest` makes it. */
  readonly digest: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/** What is expected of an acknowledgement: about whom, and by whom. */
export interface ExpectedAck extends MessageTrust {
  readonly publisher: TrustDomain;
  readonly receiver: TrustDomain;
}

/** @throws TrustplaneError ERR_BUNDLE_MESSAGE_FORMAT */
export function signAckMessage(ack: BundleAck, signers: readonly MessageSigner[]): Uint8Array {
  const payload = {
    publisher: ack.publisher.name,
    receiver: ack.receiver.name,
    sequence: ack.sequence.toString(),
    digest: ack.digest,
    iat: seconds(ack.issuedAt),
    exp: seconds(ack.expiresAt),
  };
  return signMessage(TYPE, JSON.stringify(payload), signers);
}

/**
 * Verifies that the receiver says it holds a bundle of the publisher: signed as its bundles are.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_*
 */
export function verifyAckMessage(bytes: Uint8Array, expected: ExpectedAck): BundleAck {
  const payload = openMessage(TYPE, bytes, expected);
  requireMembers(payload, MEMBERS, 'the payload');
  const { publisher, receiver, now } = expected;
  requireName(payload, 'publisher', publisher);
  requireName(payload, 'receiver', receiver);
  const issuedAt = readSeconds(payload, 'iat');
  const expiresAt = readSeconds(payload, 'exp');
  checkTimes({ issuedAt, expiresAt }, now);
  const digest = readText(payload, 'digest');
  if (!/^[0-9a-f]{64}$/u.test(digest)) throw malformed('a digest of 64 hex digits');
  const sequence = readSequence(payload, 'sequence');
  return { publisher, receiver, sequence, digest, issuedAt, expiresAt };
}

function requireName(payload: JsonObject, member: string, { name }: TrustDomain): void {
  const got = readText(payload, member);
  if (got === name) return;
  throw new TrustplaneError(
    'ERR_BUNDLE_MESSAGE_TRUST_DOMAIN',
    `expected the ${member} ${name}; got ${quote(got)}`,
  );
}
