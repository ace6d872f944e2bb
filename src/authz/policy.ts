import type { IpRange } from './ip-range.ts';
import type { Pattern } from './pattern.ts';
import type { Reason } from './reasons.ts';

/** A policy that was checked; see docs/reference/policy.md for what each part means. */
export interface Policy {
  readonly apiVersion: 'trustplane/v1';
  readonly kind: 'Policy';
  readonly metadata: PolicyMetadata;
  /** A pattern for the SPIFFE ID of the service, or the name a route gives the policies. */
  readonly service: Pattern | { readonly contextExtension: string };
  readonly mode?: PolicyMode | undefined;
  readonly request?: PolicyRequestRules | undefined;
  readonly sets?: Readonly<Record<string, readonly Pattern[]>> | undefined;
  readonly rules: readonly PolicyRule[];
  readonly response?: { readonly deny?: DenyResponse | undefined } | undefined;
  /** What must hold whatever the rules come to. */
  readonly assert?: readonly PolicyAssertion[] | undefined;
  readonly tests?: readonly PolicyTest[] | undefined;
}

interface PolicyMetadata {
  readonly name: string;
  readonly owner?: string | undefined;
  readonly 'version-note'?: string | undefined;
}

export interface PolicyMode {
  readonly stage: 'observe' | 'canary' | 'enforce';
  /** Of the callers, for canary. */
  readonly percent?: number | undefined;
  /** Undefined: the stage is left by an edit alone. */
  readonly promoteAfter?: PromoteAfter | undefined;
}

/** A policy that is tried is enforced after so many decisions by its rules, if no more of them than `disagreements` would have come out otherwise without it. */
export interface PromoteAfter {
  readonly decisions: number;
  readonly disagreements: number;
}

/** What a caller that is denied is told. A field that is undefined is as the reason has it. */
export interface DenyResponse {
  readonly status?: 401 | 403 | 429 | 503 | undefined;
  readonly body?: 'problem+json' | 'none' | undefined;
}

export interface PolicyAssertion {
  /** `never`: nobody of `from` is allowed `to`; `only`: nobody else is. */
  readonly kind: 'never' | 'only';
  readonly from: readonly IdOrSet[];
  readonly to: readonly Operation[];
}

interface PolicyRequestRules {
  readonly path?:
    | {
        readonly nonCanonical?: 'reject' | undefined;
        readonly matrixParameters?: 'reject' | 'allow' | undefined;
        readonly trailingSlash?: 'significant' | undefined;
      }
    | undefined;
  readonly body?: { readonly maxBytes: number } | undefined;
}

export interface PolicyRule {
  readonly id: string;
  readonly from: 'authenticated' | 'anyone' | FromIds;
  readonly allow?: readonly Operation[] | undefined;
  readonly deny?: readonly Operation[] | undefined;
  readonly when?: Conditions | undefined;
  /** Header → what it says. */
  readonly map?: Readonly<Record<string, MappedValue>> | undefined;
  /** Whether every decision the rule matches is logged. Default: sampled. */
  readonly log?: 'always' | 'sampled' | undefined;
}

/** How a caller shows its ID. */
export type Credential = 'x509-svid' | 'jwt-svid';

export interface FromIds {
  readonly ids: readonly IdOrSet[];
  readonly except?: readonly IdOrSet[] | undefined;
  readonly anyTrustDomain?: boolean | undefined;
  /** Default: of an allow x509-svid alone, of a deny any. */
  readonly credentials?: readonly Credential[] | undefined;
}

export type IdOrSet = Pattern | { readonly set: string };

/** What a caller does. A field that is undefined says nothing. */
export interface Operation {
  readonly methods?: readonly string[] | undefined;
  readonly paths?: readonly Pattern[] | undefined;
  readonly hosts?: readonly Pattern[] | undefined;
  readonly ports?: readonly number[] | undefined;
  readonly query?: Readonly<Record<string, readonly Pattern[]>> | undefined;
  readonly isGrpc?: boolean | undefined;
}

export interface Conditions {
  readonly jwt?: JwtCondition | undefined;
  readonly 'source.ip'?: readonly IpRange[] | undefined;
  readonly 'destination.ip'?: readonly IpRange[] | undefined;
  /** Milliseconds. */
  readonly time?:
    | { readonly from?: number | undefined; readonly until?: number | undefined }
    | undefined;
  /** By names in lower case. */
  readonly headers?: Readonly<Record<string, ValueCondition>> | undefined;
}

interface JwtCondition {
  readonly issuer: string;
  readonly claims?: Readonly<Record<string, ClaimCondition>> | undefined;
}

export interface ClaimCondition {
  readonly patterns: readonly Pattern[];
  /** The claim is a list, and one of its members is meant. */
  readonly isContained: boolean;
}

export interface ValueCondition {
  readonly patterns: readonly Pattern[];
  /** Undefined: every for allow, some for deny. */
  readonly values?: 'every' | 'some' | undefined;
}

export type MappedValue =
  | { readonly kind: 'source.id' }
  /** A signed token that names the caller to the service. */
  | { readonly kind: 'assertion' }
  | { readonly kind: 'claim'; readonly claim: string }
  /** Literal parts and captures by turns, a literal first. */
  | { readonly kind: 'template'; readonly parts: readonly string[] };

export interface PolicyTest {
  /** The caller; undefined: none. */
  readonly as?: string | undefined;
  /** Default: x509-svid. */
  readonly credential?: Credential | undefined;
  /** Octets. Default: 0. */
  readonly body?: number | undefined;
  /** As in `GET /x`; undefined: a connection without HTTP. */
  readonly request?: { readonly method: string; readonly target: string } | undefined;
  /** `package.Service/Method` instead of a request. */
  readonly grpc?: string | undefined;
  readonly host?: string | undefined;
  readonly headers?: Readonly<Record<string, string | readonly string[]>> | undefined;
  /** The payload of the token that was verified. */
  readonly jwt?: Readonly<Record<string, unknown>> | undefined;
  readonly ip?: string | undefined;
  readonly destinationIp?: string | undefined;
  readonly port?: number | undefined;
  /** Milliseconds. */
  readonly at?: number | undefined;
  readonly service?: string | undefined;
  readonly expect: 'allow' | 'deny';
  readonly rule?: string | undefined;
  readonly reason?: Reason | undefined;
  readonly map?: Readonly<Record<string, string>> | undefined;
}
