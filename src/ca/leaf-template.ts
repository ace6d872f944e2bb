import { writeConstructed, writeUnsignedInteger } from '../spiffe/index.ts';
import {
  type KeyUsage,
  writeAuthorityKeyId,
  writeBasicConstraints,
  writeExtendedKeyUsage,
  writeKeyUsage,
} from './certificate-extensions.ts';
import { type NameAttribute, writeName } from './distinguished-name.ts';
import type { SigningKey } from './key-manager.ts';
import { signatureAlgorithms } from './signature-algorithm.ts';

/** What an operator may choose of an X509-SVID; the rest is fixed. */
export interface X509SvidProfile {
  /** May be empty; the SAN is critical then. IAM Roles Anywhere refuses an empty one. */
  readonly subject: readonly NameAttribute[];
  /** Whether the first DNS name of at most 64 characters becomes the subject's CN. */
  readonly commonName: 'none' | 'first-dns-name';
  /** Beside digitalSignature. */
  readonly keyUsages: readonly Extract<KeyUsage, 'keyEncipherment' | 'keyAgreement'>[];
}

export const defaultX509SvidProfile: X509SvidProfile = {
  subject: [{ type: 'organization', value: 'trustplane' }],
  commonName: 'none',
  keyUsages: [],
};

/** The encoded parts that all leaves of one authority share (design D10). */
export interface LeafTemplate {
  readonly key: SigningKey;
  readonly version: Uint8Array;
  readonly signatureAlgorithm: Uint8Array;
  readonly issuer: Uint8Array;
  readonly profile: X509SvidProfile;
  /** Without a CN. */
  readonly subject: Uint8Array;
  /** Key usage, extended key usage, basic constraints. */
  readonly usages: readonly Uint8Array[];
  readonly authorityKeyId: Uint8Array;
}

export const VERSION_3: Uint8Array = writeConstructed(0, writeUnsignedInteger(Uint8Array.of(2)));

export function buildLeafTemplate(
  issuer: { readonly key: SigningKey; readonly name: Uint8Array; readonly keyId: Uint8Array },
  profile: X509SvidProfile,
): LeafTemplate {
  return {
    key: issuer.key,
    version: VERSION_3,
    signatureAlgorithm: signatureAlgorithms[issuer.key.keyType],
    issuer: issuer.name,
    profile,
    subject: writeName(profile.subject),
    usages: [
      writeKeyUsage(['digitalSignature', ...profile.keyUsages]),
      writeExtendedKeyUsage(),
      writeBasicConstraints(false),
    ],
    authorityKeyId: writeAuthorityKeyId(issuer.keyId),
  };
}
