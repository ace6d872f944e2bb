import type { SpiffeId } from '../spiffe/index.ts';
import type { ResourceName } from './resource-name.ts';

/** An attested Envoy that asks for extension configurations. */
export interface ExtensionClient {
  readonly pid: number;
  /** What it calls itself: at most 64 characters, printable; may be empty. For people only. */
  readonly nodeId: string;
  /** The Envoy's version; undefined: it does not say, or is no Envoy. */
  readonly version: readonly [major: number, minor: number] | undefined;
  /** Its identities, the first one first; at least one. */
  readonly ids: readonly SpiffeId[];
}

/** One configuration of one extension, shared by all who are sent it. */
export interface ExtensionConfig {
  readonly name: string;
  /** Equal exactly when the bytes are. */
  readonly version: string;
  /** An encoded envoy.config.core.v3.TypedExtensionConfig of that name. */
  readonly bytes: Uint8Array;
  /**
   * How long the client uses it without hearing from here, in milliseconds; then its default
   * configuration takes over. Undefined: for ever.
   */
  readonly ttlMs?: number | undefined;
}

/** Where extension configurations come from. */
export interface ExtensionSource {
  /**
   * What this client is to run. `onChange` is called whenever something that was resolved would be
   * resolved to something else. Never blocks, never calls back from within.
   */
  open(client: ExtensionClient, onChange: () => void): ExtensionView;
}

/** What one client is to run, while its identities stay as they are. */
export interface ExtensionView {
  /**
   * The configuration; `pending`: it may still come, and what the client has stays; `refused`: there
   * is none for it, and what it has is taken back. Names of services that the client is not are never
   * asked for.
   */
  resolve(name: ResourceName): ExtensionConfig | 'pending' | 'refused';
  /** What became of one that was sent: undefined refusal = it is in force (ACK). */
  onVerdict(name: string, version: string, refusal: string | undefined): void;
  close(): void;
}
