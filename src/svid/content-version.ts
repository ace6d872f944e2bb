import { createHash, type Hash } from 'node:crypto';
import type { Bundle, TokenAuthority, WorkloadUpdate, X509Identity } from '../spiffe/index.ts';
import { recall } from './recall.ts';

/** The content hash of an update; parts that stay the same are hashed once. */
export function contentVersion(
  identities: readonly X509Identity[],
  own: Bundle,
  federated: ReadonlyMap<string, Bundle>,
  accept: WorkloadUpdate['accept'],
  crls: readonly Uint8Array[],
): string {
  const hash = createHash('sha256').update(bundleDigest(own));
  for (const identity of identities) hash.update('i').update(identityDigest(identity));
  for (const bundle of federated.values()) hash.update('b').update(bundleDigest(bundle));
  for (const [name, scopes] of accept) {
    hash.update('a');
    addText(hash, name);
    addText(hash, scopes.join(' '));
  }
  for (const crl of crls) hash.update('c').update(crlDigest(crl));
  return hash.digest('hex').slice(0, 32);
}

const crlDigests = new WeakMap<Uint8Array, Buffer>();

function crlDigest(crl: Uint8Array): Buffer {
  return recall(crlDigests, crl, () => createHash('sha256').update(crl).digest());
}

const identityDigests = new WeakMap<X509Identity, Buffer>();

/** The key is not hashed: the leaf holds its public half. */
function identityDigest(identity: X509Identity): Buffer {
  return recall(identityDigests, identity, () => {
    const hash = createHash('sha256');
    addText(hash, identity.entryId);
    addText(hash, identity.hint);
    for (const { name } of identity.federatesWith) addText(hash, name);
    for (const certificate of identity.certificateChain) addBytes(hash, certificate);
    return hash.digest();
  });
}

const bundleDigests = new WeakMap<Bundle, Buffer>();

function bundleDigest(bundle: Bundle): Buffer {
  return recall(bundleDigests, bundle, () => {
    const hash = createHash('sha256');
    addText(hash, bundle.trustDomain.name);
    addText(hash, `${bundle.sequenceNumber} ${bundle.refreshHintSeconds}`);
    for (const { certificate, tainted } of bundle.x509Authorities) {
      addText(hash, tainted ? 'x509 tainted' : 'x509');
      addBytes(hash, certificate);
    }
    for (const authority of bundle.jwtAuthorities) addToken(hash, 'jwt', authority);
    for (const authority of bundle.witAuthorities) addToken(hash, 'wit', authority);
    return hash.digest();
  });
}

function addToken(hash: Hash, kind: string, authority: TokenAuthority): void {
  addText(hash, `${kind} ${authority.tainted} ${authority.expiresAt}`);
  addText(hash, authority.keyId);
  addBytes(hash, authority.publicKey);
}

function addText(hash: Hash, text: string): void {
  addBytes(hash, Buffer.from(text));
}

/** Length first, so that no two contents hash the same input. */
function addBytes(hash: Hash, bytes: Uint8Array): void {
  hash.update(`${bytes.length}:`).update(bytes);
}
