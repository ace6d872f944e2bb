import { KeyObject } from 'node:crypto';
import { type MessageSigner, signMessage } from '../../src/broadcast/signed-message.ts';
import { type Bundle, emptyBundle, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import {
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from './test-certificates.ts';

/** Who publishes the bundle of a.test. */
export const testPublisherId: SpiffeId = SpiffeId.parse('spiffe://a.test/spire/server');

/** A publisher's SVID, below an authority. */
export async function makeSigner(
  issuer: TestCertificate,
  options: TestCertificateOptions = {},
): Promise<MessageSigner> {
  const uris = [testPublisherId.toString()];
  const leaf = await makeCertificate({ issuer, uris, ...options });
  const key = KeyObject.from(leaf.keys.privateKey);
  return {
    certificateChain: [leaf.der],
    privateKey: new Uint8Array(key.export({ format: 'der', type: 'pkcs8' })),
  };
}

/** A bundle with these authorities. */
export function bundleWith(
  name: string,
  sequence: bigint | undefined,
  authorities: readonly TestCertificate[],
): Bundle {
  return {
    ...emptyBundle(TrustDomain.parse(name)),
    x509Authorities: authorities.map(({ der }) => ({ certificate: der, tainted: false })),
    sequenceNumber: sequence,
    refreshHintSeconds: 300,
  };
}

/** The times of a message that is good now, and who signs it. */
export function signedBy(...signers: MessageSigner[]) {
  return { issuedAt: testNow, expiresAt: testNow + 1_800_000, signers };
}

/** A message whose parts are changed after it was signed. */
export function reworked(
  bytes: Uint8Array,
  change: (message: { payload: string; signatures: Record<string, unknown>[] }) => unknown,
): Uint8Array {
  const message = JSON.parse(Buffer.from(bytes).toString());
  return new Uint8Array(Buffer.from(JSON.stringify(change(message) ?? message)));
}

/** A message with any payload, truly signed. */
export function signedPayload(payload: unknown, ...signers: MessageSigner[]): Uint8Array {
  return signMessage('trustplane-bundle+jws', JSON.stringify(payload), signers);
}
