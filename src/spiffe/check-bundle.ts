import type { Bundle, TokenAuthority } from './bundle.ts';
import { MAX_BUNDLE_KEYS, MAX_KEY_ID_BYTES } from './bundle-document.ts';
import { parseCertificate } from './certificate.ts';
import { messageOf, TrustplaneError } from './errors.ts';
import { keyAlgorithmFault, parseKeyAlgorithm } from './key-algorithm.ts';
import { quote } from './quote.ts';
import { authorityFault } from './x509-authority.ts';

/**
 * Judges a bundle that was not read from a document by what documents are held to: at most 1000 keys,
 * each one that can be used, token keys with IDs of their own, numbers from 0. Where a document's
 * reader leaves a key out, this refuses: who sends keys one by one means each of them.
 * @throws TrustplaneError ERR_BUNDLE, naming the first fault
 */
export function checkBundle(bundle: Bundle): void {
  const { x509Authorities, jwtAuthorities, witAuthorities } = bundle;
  const count = x509Authorities.length + jwtAuthorities.length + witAuthorities.length;
  if (count > MAX_BUNDLE_KEYS)
    throw refused(bundle, `has ${count} keys; at most ${MAX_BUNDLE_KEYS} are allowed`);
  for (const [index, { certificate }] of x509Authorities.entries()) {
    const fault = certificateFault(certificate);
    if (fault !== undefined) throw refused(bundle, `has an X.509 authority ${index} that ${fault}`);
  }
  const keyIds = new Set<string>();
  for (const [use, authorities] of [
    ['JWT', jwtAuthorities],
    ['WIT', witAuthorities],
  ] as const) {
    for (const [index, authority] of authorities.entries()) {
      const fault = tokenAuthorityFault(authority, keyIds);
      if (fault !== undefined)
        throw refused(bundle, `has a ${use} authority ${index} with ${fault}`);
    }
  }
  checkNumbers(bundle);
}

function certificateFault(der: Uint8Array): string | undefined {
  try {
    const certificate = parseCertificate(der);
    const keyFault = keyAlgorithmFault(certificate.keyAlgorithm);
    return keyFault === undefined ? authorityFault(certificate)?.reason : `has ${keyFault}`;
  } catch (error) {
    return `is no certificate: ${messageOf(error)}`;
  }
}

function tokenAuthorityFault(
  { keyId, publicKey, expiresAt }: TokenAuthority,
  known: Set<string>,
): string | undefined {
  if (keyId === '') return 'an empty key ID';
  if (Buffer.byteLength(keyId) > MAX_KEY_ID_BYTES) {
    return `a key ID of more than ${MAX_KEY_ID_BYTES} bytes`;
  }
  if (known.has(keyId)) return `the key ID ${quote(keyId)}, which came before`;
  known.add(keyId);
  if (expiresAt !== undefined && !(Number.isSafeInteger(expiresAt) && expiresAt > 0)) {
    return `the expiry ${expiresAt}, which is no instant`;
  }
  try {
    return keyAlgorithmFault(parseKeyAlgorithm(publicKey));
  } catch (error) {
    return `a public key that cannot be read: ${messageOf(error)}`;
  }
}

function checkNumbers(bundle: Bundle): void {
  const { sequenceNumber = 0n, refreshHintSeconds = 0 } = bundle;
  if (sequenceNumber < 0n) {
    throw refused(bundle, `has the sequence number ${sequenceNumber}, which is below 0`);
  }
  if (!Number.isSafeInteger(refreshHintSeconds) || refreshHintSeconds < 0) {
    throw refused(
      bundle,
      `has the refresh hint ${refreshHintSeconds}, which is no number of seconds`,
    );
  }
}

function refused({ trustDomain }: Bundle, why: string): TrustplaneError {
  return new TrustplaneError('ERR_BUNDLE', `the bundle of ${trustDomain.name} ${why}`);
}
