/** Key types authorities may have. */
export const keyTypes = ['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096'] as const;
export type KeyType = (typeof keyTypes)[number];

/** A private key that signs and never leaves its key manager. */
export interface SigningKey {
  readonly keyId: string;
  readonly keyType: KeyType;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  /**
   * Signs with SHA-256 (SHA-384 for EC P-384), as X.509 encodes it: ECDSA in DER form, RSA in
   * PKCS #1 v1.5.
   */
  sign(data: Uint8Array): Promise<Uint8Array>;
}

/** Holds the private keys of one server (design D3). */
export interface KeyManager {
  /** True when keys outlive the process. */
  readonly isDurable: boolean;
  /**
   * Makes a key; once this resolves it is durable where `isDurable`.
   * @throws TrustplaneError ERR_KEY_ID, ERR_KEY_EXISTS, ERR_FILE_WRITE
   */
  generateKey(keyId: string, keyType: KeyType): Promise<SigningKey>;
  getKey(keyId: string): Promise<SigningKey | undefined>;
  /** True when there was such a key. */
  deleteKey(keyId: string): Promise<boolean>;
  /** Sorted. */
  listKeys(): Promise<readonly string[]>;
}
