import { type PolicyTaker, quote, TrustplaneError, type WorkloadGroup } from '../spiffe/index.ts';
import {
  buildPosition,
  type Position,
  parseDigest,
  parsePosition,
  type WirePosition,
} from './position.ts';
import { parseCount } from './wire-values.ts';
import { buildWorkloads, parseWorkloads, type WireWorkloads } from './workloads-message.ts';

/** A stream or workload of an agent that does not have what the agent confirmed. */
export interface Laggard {
  readonly stream: string;
  readonly reason: string;
}

/** What an agent says on its sync stream. */
export type SyncRequest =
  | {
      readonly kind: 'hello';
      readonly resume: Position | undefined;
      readonly agentVersion: string;
      /** The agent keeps to the terms of federated trust domains. */
      readonly takesTerms: boolean;
      /** It decides requests by the policies of the control plane. Default: false. */
      readonly takesPolicies?: boolean | undefined;
      /** It gives CRLs to those it serves. Default: false. */
      readonly takesCrls?: boolean | undefined;
    }
  | { readonly kind: 'applied'; readonly revision: number; readonly digest: string }
  | {
      readonly kind: 'confirmed';
      /** As `bundleDigest` makes it. */
      readonly bundleDigest: string;
      readonly laggards: readonly Laggard[];
    }
  /** Which workloads the agent serves. */
  | {
      readonly kind: 'workloads';
      readonly groups: readonly WorkloadGroup[];
      /** There are more. */
      readonly isPartial: boolean;
    }
  /** Who on the agent's host has which policies in force. */
  | { readonly kind: 'policies'; readonly takers: readonly PolicyTaker[] };

/** trustplane.sync.v1.SyncRequest */
export interface WireSyncRequest {
  readonly hello?: {
    readonly protocol_version?: number;
    readonly resume?: WirePosition | null;
    readonly agent_version?: string;
    readonly takes_terms?: boolean;
    readonly takes_policies?: boolean;
    readonly takes_crls?: boolean;
  } | null;
  readonly applied?: { readonly revision?: string; readonly digest?: Uint8Array } | null;
  readonly confirmed?: {
    readonly bundle_digest?: Uint8Array;
    readonly laggards?: readonly { readonly stream?: string; readonly reason?: string }[];
  } | null;
  readonly policies_in_force?: { readonly takers?: readonly WirePolicyTaker[] } | null;
  readonly workloads?: WireWorkloads | null;
}

interface WirePolicyTaker {
  readonly name?: string;
  readonly hash?: Uint8Array;
  readonly digest?: Uint8Array;
  readonly since?: string;
  readonly fault?: string;
  readonly refused?: Uint8Array;
}

const PROTOCOL_VERSION = 1;
const CODE = 'ERR_SYNC_REQUEST';
const NO_DIGEST = '';
const MAX_LAGGARDS = 100;
const MAX_TAKERS = 64;
const MAX_TEXT_BYTES = 512;
/** A fault may be several complaints. */
const MAX_FAULT_BYTES = 4_096;
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

export function buildSyncRequest(request: SyncRequest): WireSyncRequest {
  if (request.kind === 'hello') {
    const { resume, agentVersion, takesTerms, takesPolicies = false, takesCrls = false } = request;
    return {
      hello: {
        protocol_version: PROTOCOL_VERSION,
        ...(resume && { resume: buildPosition(resume) }),
        agent_version: agentVersion,
        takes_terms: takesTerms,
        takes_policies: takesPolicies,
        takes_crls: takesCrls,
      },
    };
  }
  if (request.kind === 'applied') {
    const { revision, digest } = request;
    return { applied: { revision: String(revision), digest: Buffer.from(digest, 'hex') } };
  }
  if (request.kind === 'workloads') return { workloads: buildWorkloads(request) };
  if (request.kind === 'policies') {
    const takers = request.takers.slice(0, MAX_TAKERS).map(buildTaker);
    return { policies_in_force: { takers } };
  }
  const { bundleDigest, laggards } = request;
  return {
    confirmed: {
      bundle_digest: Buffer.from(bundleDigest, 'hex'),
      laggards: laggards.slice(0, MAX_LAGGARDS).map(({ stream, reason }) => ({
        stream: cut(stream),
        reason: cut(reason),
      })),
    },
  };
}

/** @throws TrustplaneError ERR_SYNC_REQUEST */
export function parseSyncRequest(request: WireSyncRequest): SyncRequest {
  const { hello, applied, confirmed, policies_in_force, workloads } = request;
  if (hello) {
    const version = hello.protocol_version ?? 0;
    if (version < PROTOCOL_VERSION) throw fault('protocol_version', '1 or later', `${version}`);
    return {
      kind: 'hello',
      resume: hello.resume ? parsePosition(hello.resume, CODE) : undefined,
      agentVersion: parseText(hello.agent_version, 'agent_version'),
      takesTerms: hello.takes_terms ?? false,
      takesPolicies: hello.takes_policies ?? false,
      takesCrls: hello.takes_crls ?? false,
    };
  }
  if (applied) {
    // An agent that knows nothing yet and discards its first update has no digest to tell.
    const digest = applied.digest?.length ? parseDigest(applied.digest, CODE) : NO_DIGEST;
    return { kind: 'applied', revision: parseCount(applied.revision, 'revision', CODE), digest };
  }
  if (confirmed) {
    const { bundle_digest, laggards = [] } = confirmed;
    if (laggards.length > MAX_LAGGARDS) {
      throw fault('laggards', `at most ${MAX_LAGGARDS}`, `${laggards.length}`);
    }
    return {
      kind: 'confirmed',
      bundleDigest: parseDigest(bundle_digest, CODE),
      laggards: laggards.map(({ stream, reason }) => ({
        stream: parseText(stream, 'stream'),
        reason: parseText(reason, 'reason'),
      })),
    };
  }
  if (policies_in_force) {
    const { takers = [] } = policies_in_force;
    if (takers.length > MAX_TAKERS)
      throw fault('takers', `at most ${MAX_TAKERS}`, `${takers.length}`);
    return { kind: 'policies', takers: takers.map(parseTaker) };
  }
  if (workloads) return { kind: 'workloads', ...parseWorkloads(workloads) };
  throw fault('message', 'hello, applied, confirmed, policies_in_force or workloads', 'none');
}

function buildTaker({ name, hash, digest, since, fault, refused }: PolicyTaker): WirePolicyTaker {
  return {
    name: cut(name),
    hash: Buffer.from(hash ?? '', 'hex'),
    digest: Buffer.from(digest ?? '', 'hex'),
    since: String(since ?? 0),
    fault: fault === undefined ? '' : cut(fault.replaceAll('\n', '; '), MAX_FAULT_BYTES),
    refused: Buffer.from(refused ?? '', 'hex'),
  };
}

function parseTaker({ name, hash, digest, since, fault, refused }: WirePolicyTaker): PolicyTaker {
  const digestOf = (bytes?: Uint8Array) => (bytes?.length ? parseDigest(bytes, CODE) : undefined);
  const instant = parseCount(since, 'since', CODE);
  return {
    name: parseText(name, 'name'),
    hash: digestOf(hash),
    digest: digestOf(digest),
    since: instant === 0 ? undefined : instant,
    fault: fault ? parseText(fault, 'fault', MAX_FAULT_BYTES) : undefined,
    refused: digestOf(refused),
  };
}

function parseText(text = '', field: string, maxBytes = MAX_TEXT_BYTES): string {
  if (Buffer.byteLength(text) <= maxBytes && !UNPRINTABLE.test(text)) return text;
  throw fault(field, `at most ${maxBytes} bytes of text`, quote(text));
}

/** At most the bytes that are taken, without what is not text. */
function cut(text: string, maxBytes = MAX_TEXT_BYTES): string {
  const clean = text.replace(/[\p{Cc}\p{Cs}]/gu, ' ');
  if (Buffer.byteLength(clean) <= maxBytes) return clean;
  return (
    Buffer.from(clean)
      .subarray(0, maxBytes - 4)
      .toString()
      .replace(/\uFFFD+$/u, '') + '…'
  );
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(CODE, `${field}: expected ${expected}; got ${got}`);
}
