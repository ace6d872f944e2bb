import type { Credential } from '../policy.ts';

/** A request that is being thought out: the shortest one of its class. */
export interface Draft {
  /** Undefined: not authenticated. */
  caller: readonly string[] | undefined;
  credential: Credential;
  /** Undefined: a connection without HTTP. */
  method: string | undefined;
  path: readonly string[];
  /** From the end. */
  host: readonly string[] | undefined;
  port: number | undefined;
  sourceIp: string | undefined;
  destinationIp: string | undefined;
  now: number;
  readonly headers: Map<string, readonly string[]>;
  readonly query: Map<string, readonly string[]>;
  readonly claims: Map<string, string | readonly string[]>;
}

export function emptyDraft(): Draft {
  return {
    caller: undefined,
    credential: 'x509-svid',
    method: 'GET',
    path: [''],
    host: undefined,
    port: undefined,
    sourceIp: undefined,
    destinationIp: undefined,
    now: 0,
    headers: new Map(),
    query: new Map(),
    claims: new Map(),
  };
}
