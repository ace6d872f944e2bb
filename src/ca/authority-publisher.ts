/** What rotation needs of the own trust domain's bundle. Authorities are named by their certificate (DER). */
export interface AuthorityPublisher {
  /** True when the bundle that everyone here trusts now holds it. */
  isPublished(certificate: Uint8Array): boolean;
  /** Adds it; once this resolves it is durable, and every reader of the trust map here sees it. */
  publish(certificate: Uint8Array): Promise<void>;
  /** Takes it out; nothing happens when it is not there. */
  withdraw(certificate: Uint8Array): Promise<void>;
}
