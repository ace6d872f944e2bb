import {
  type Bundle,
  bundleDigest,
  type JsonObject,
  messageOf,
  quote,
  readBundle,
  serializeBundleDocument,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { checkTimes, readSeconds, readSequence, readText, seconds } from './message-fields.ts';
import {
  type MessageSigner,
  type MessageTrust,
  malformed,
  openMessage,
  requireMembers,
  signMessage,
} from './signed-message.ts';

const TYPE = 'trustplane-bundle+jws';
const MEMBERS = ['trust_domain', 'sequence', 'iat', 'exp', 'bundle'];

/** A bundle that is to be broadcast. Instants in milliseconds since the epoch, told in whole seconds. */
export interface BundleMessage {
  /** With a sequence number. */
  readonly bundle: Bundle;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly signers: readonly MessageSigner[];
}

/** What is expected of a message: whose bundle it is, and who signed it. */
export interface ExpectedBundle extends MessageTrust {
  readonly trustDomain: TrustDomain;
}

/** A message that was verified. Instants in milliseconds since the epoch. */
export interface VerifiedBundleMessage {
  readonly bundle: Bundle;
  readonly sequence: bigint;
  /** As `bundleDigest` makes it. */
  readonly digest: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

/**
 * The signed message of a bundle (design D5): its document with trust domain, sequence and times.
 * @throws TrustplaneError ERR_BUNDLE, ERR_BUNDLE_MESSAGE_SIZE, ERR_BUNDLE_MESSAGE_FORMAT
 */
export function signBundleMessage(message: BundleMessage): Uint8Array {
  const { bundle, issuedAt, expiresAt, signers } = message;
  const { trustDomain, sequenceNumber } = bundle;
  if (sequenceNumber === undefined) {
    throw malformed(`a sequence number in the bundle of ${trustDomain.name}`);
  }
  const head = {
    trust_domain: trustDomain.name,
    sequence: sequenceNumber.toString(),
    iat: seconds(issuedAt),
    exp: seconds(expiresAt),
  };
  const document = serializeBundleDocument(bundle);
  const payload = `${JSON.stringify(head).slice(0, -1)},"bundle":${document}}`;
  return signMessage(TYPE, payload, signers);
}

/**
 * Verifies a message as an https_spiffe endpoint is (design D5): signed by an X509-SVID of the
 * publisher that the present bundle of its trust domain verifies, about the expected trust domain
 * (FED-20), in its time. Whether its sequence rises is for whoever holds the bundle to say.
 * @throws TrustplaneError ERR_BUNDLE_MESSAGE_*
 */
export function verifyBundleMessage(
  bytes: Uint8Array,
  expected: ExpectedBundle,
): VerifiedBundleMessage {
  const payload = openMessage(TYPE, bytes, expected);
  requireMembers(payload, MEMBERS, 'the payload');
  requireTrustDomain(payload, expected.trustDomain);
  const issuedAt = readSeconds(payload, 'iat');
  const expiresAt = readSeconds(payload, 'exp');
  checkTimes({ issuedAt, expiresAt }, expected.now);
  const sequence = readSequence(payload, 'sequence');
  const bundle = readDocument(payload, expected.trustDomain);
  if (bundle.sequenceNumber !== sequence) {
    throw malformed(`the sequence ${sequence} in the bundle document too`);
  }
  return { bundle, sequence, digest: bundleDigest(bundle), issuedAt, expiresAt };
}

function requireTrustDomain(payload: JsonObject, { name }: TrustDomain): void {
  const got = readText(payload, 'trust_domain');
  if (got === name) return;
  throw new TrustplaneError(
    'ERR_BUNDLE_MESSAGE_TRUST_DOMAIN',
    `expected the bundle of ${name}; got that of ${quote(got)}`,
  );
}

function readDocument(payload: JsonObject, trustDomain: TrustDomain): Bundle {
  const document = payload.get('bundle');
  if (!(document instanceof Map)) throw malformed('an object "bundle"');
  try {
    return readBundle(trustDomain, document).bundle;
  } catch (cause) {
    throw malformed(`a bundle document: ${messageOf(cause)}`, cause);
  }
}
