/** What rotation needs of the own trust domain's bundle. Authorities are named by their certificate (DER). */
export interface AuthorityPublisher {
  /** How it stands in the bundle that everyone here trusts now; undefined when it is not in it. */
  find(certificate: Uint8Array): object | undefined;
  /** Adds it; once this resolves it is durable, and every reader of the trust map here sees it. */
  publish(certificate: Uint8Array): Promise<void>;
  /** Takes it out; nothing happens when it is not there. */
  withdraw(certificate: Uint8Array): Promise<void>;
}
