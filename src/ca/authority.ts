/**
 * prepared: made and published, signs nothing yet. active: signs. old: signs nothing more, stays in
 * the bundle until it has expired or is revoked, because SVIDs signed by it live.
 */
export const authorityStates = ['prepared', 'active', 'old'] as const;
export type AuthorityState = (typeof authorityStates)[number];

/** One authority of this server, whatever it signs. Instants in milliseconds since the epoch. */
export interface Authority {
  /** The key identifier of its public key, in hex. */
  readonly authorityId: string;
  /** Of its key in the key manager. */
  readonly keyId: string;
  readonly state: AuthorityState;
  /** When it was made; life counts from here. */
  readonly issuedAt: number;
  /** It is of no use to whoever has an earlier time. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /** Subject key identifier of the root above it, in hex; undefined when it is its own root. */
  readonly upstreamId?: string | undefined;
}

/** What an authority signs. */
export type AuthorityKind = 'x509' | 'jwt';

export const kindNames: Readonly<Record<AuthorityKind, string>> = { x509: 'X.509', jwt: 'JWT' };

/** Marks the keys of one kind in a key manager that holds others too. */
export function keyPrefixOf(kind: AuthorityKind): string {
  return `${kind}-`;
}
