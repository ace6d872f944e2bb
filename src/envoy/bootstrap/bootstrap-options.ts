import type { EnvoyVersion } from '../../authz/rbac/index.ts';
import type { SpiffeId } from '../../spiffe/index.ts';
import type { Place } from './place.ts';

/** What a sidecar is to do. At least one of `inbound` and `outbound` is there. */
export interface BootstrapOptions {
  /** A name in logs and in `policy status`; the agent knows Envoy by its process. */
  readonly nodeId: string;
  /** The SVID that it presents, to callers and to servers. */
  readonly spiffeId: SpiffeId;
  /** Whose certificates are good: the name of a validation context over SDS. */
  readonly trust: string;
  /** Bytes instead of HTTP. */
  readonly isTcp: boolean;
  readonly agentSocket: string;
  readonly protocol: 'delta' | 'sotw';
  /** Secrets and rules on one stream. */
  readonly isAggregated: boolean;
  /** The path of a file, `stdout`, or `none`. */
  readonly accessLog: string;
  readonly admin: Place | undefined;
  /** Of callers' connections; those to servers live half as long. */
  readonly maxConnectionSeconds: number;
  readonly envoyVersion: EnvoyVersion | undefined;
  readonly inbound: Inbound | undefined;
  readonly outbound: Outbound | undefined;
}

/** Takes mTLS from the mesh and hands it to the application. */
export interface Inbound {
  readonly listen: Place;
  readonly application: Place;
  /** Who may connect; empty: any workload of a trust domain that is trusted. */
  readonly callerIds: readonly SpiffeId[];
  /** Whether Envoy itself runs the rules that it can. */
  readonly hasRules: boolean;
  /** Who is asked about what Envoy does not decide. */
  readonly check: CheckServer | undefined;
  /** The context extension that policies may name instead of an ID. */
  readonly policyName: string | undefined;
  readonly jwtProviders: readonly JwtProvider[];
}

export interface CheckServer {
  readonly place: Place;
  /** Whom to find there, over mTLS; undefined on this host: no TLS. */
  readonly spiffeId: SpiffeId | undefined;
}

/** Takes what the application sends on this host, and speaks mTLS to a server. */
export interface Outbound {
  readonly listen: Place;
  readonly peer: Place;
  /** Who the server may be; at least one. */
  readonly peerIds: readonly SpiffeId[];
}

/** A login service whose tokens say who is behind a caller. */
export interface JwtProvider {
  readonly issuer: string;
  /** At least one. */
  readonly audiences: readonly string[];
  /** Where its keys are: a file, or over HTTPS. */
  readonly keys:
    | { readonly file: string }
    | { readonly url: string; readonly host: string; readonly port: number };
}
