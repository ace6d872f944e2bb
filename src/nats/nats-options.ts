import type { Log, Metrics } from '../ops/index.ts';
import type { Bundle, Clock, SpiffeId } from '../spiffe/index.ts';

/** What a client presents over TLS. Immutable: a renewed one is another object. */
export interface NatsIdentity {
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
}

/** PEM files of a client; read again for each connection. */
export interface NatsIdentityFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A nats-server that has a certificate for its host name, below a CA of a file (default: the system's). */
export interface NamedNatsServer {
  /** PEM; read again for each connection. */
  readonly caFile?: string | undefined;
}

/** A nats-server that presents an X509-SVID, whatever its host name. */
export interface SpiffeNatsServer {
  readonly serverId: SpiffeId;
  /** The bundle of the server's trust domain now. */
  bundle(): Bundle;
}

export interface NatsTls {
  /**
   * What the client presents; a function is asked for each connection, and a connection is made
   * anew within 15 s when it has another answer. Default: nothing.
   */
  readonly identity?: NatsIdentityFiles | (() => NatsIdentity | undefined) | undefined;
  readonly server: NamedNatsServer | SpiffeNatsServer;
}

/** What a client proves itself with beside TLS; files are read again for each connection. */
export type NatsLogin =
  | { readonly nkeySeedFile: string }
  /** A JWT and the seed of its NKEY, as `nsc` writes them. */
  | { readonly credentialsFile: string }
  /** No secret: the nats-server is to find the user of the certificate (verify_and_map), instead of the one for everybody. */
  | 'certificate';

export interface NatsOptions {
  /** `nats://host[:port]` or `tls://host[:port]`, 1 to 16, without user or path; default port 4222. */
  readonly servers: readonly string[];
  /** What the connection is for, in few words of a fixed set: a label of metrics, part of its name. */
  readonly purpose: string;
  /** Shown in nats-server's monitoring, beside the purpose. */
  readonly name: string;
  /** Default: none for nats://, the system's roots for tls://. */
  readonly tls?: NatsTls | undefined;
  /** Default: none. */
  readonly login?: NatsLogin | undefined;
  /** Whether a server that is not on this host may be spoken to without TLS. Default false. */
  readonly allowPlaintext?: boolean | undefined;
  /** How often the server is asked whether it is there; after two silences, or a handshake of that length, another is tried. Default 5,000. */
  readonly pingIntervalMs?: number | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** 0 to 1, for the jitter of attempts. Default Math.random. */
  readonly random?: (() => number) | undefined;
}
