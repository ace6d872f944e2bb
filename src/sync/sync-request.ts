import { quote, TrustplaneError } from '../spiffe/index.ts';
import {
  buildPosition,
  type Position,
  parseDigest,
  parsePosition,
  type WirePosition,
} from './position.ts';
import { parseCount } from './wire-values.ts';

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
    }
  | { readonly kind: 'applied'; readonly revision: number; readonly digest: string }
  | {
      readonly kind: 'confirmed';
      /** As `bundleDigest` makes it. */
      readonly bundleDigest: string;
      readonly laggards: readonly Laggard[];
    };

/** trustplane.sync.v1.SyncRequest */
export interface WireSyncRequest {
  readonly hello?: {
    readonly protocol_version?: number;
    readonly resume?: WirePosition | null;
    readonly agent_version?: string;
    readonly takes_terms?: boolean;
  } | null;
  readonly applied?: { readonly revision?: string; readonly digest?: Uint8Array } | null;
  readonly confirmed?: {
    readonly bundle_digest?: Uint8Array;
    readonly laggards?: readonly { readonly stream?: string; readonly reason?: string }[];
  } | null;
}

const PROTOCOL_VERSION = 1;
const CODE = 'ERR_SYNC_REQUEST';
const NO_DIGEST = '';
const MAX_LAGGARDS = 100;
const MAX_TEXT_BYTES = 512;
const UNPRINTABLE = /[\p{Cc}\p{Cs}]/u;

export function buildSyncRequest(request: SyncRequest): WireSyncRequest {
  if (request.kind === 'hello') {
    const { resume, agentVersion, takesTerms } = request;
    return {
      hello: {
        protocol_version: PROTOCOL_VERSION,
        ...(resume && { resume: buildPosition(resume) }),
        agent_version: agentVersion,
        takes_terms: takesTerms,
      },
    };
  }
  if (request.kind === 'applied') {
    const { revision, digest } = request;
    return { applied: { revision: String(revision), digest: Buffer.from(digest, 'hex') } };
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
export function parseSyncRequest({ hello, applied, confirmed }: WireSyncRequest): SyncRequest {
  if (hello) {
    const version = hello.protocol_version ?? 0;
    if (version < PROTOCOL_VERSION) throw fault('protocol_version', '1 or later', `${version}`);
    return {
      kind: 'hello',
      resume: hello.resume ? parsePosition(hello.resume, CODE) : undefined,
      agentVersion: parseText(hello.agent_version, 'agent_version'),
      takesTerms: hello.takes_terms ?? false,
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
  throw fault('message', 'hello, applied or confirmed', 'none');
}

function parseText(text = '', field: string): string {
  if (Buffer.byteLength(text) <= MAX_TEXT_BYTES && !UNPRINTABLE.test(text)) return text;
  throw fault(field, `at most ${MAX_TEXT_BYTES} bytes of text`, quote(text));
}

/** At most the bytes that are taken, without what is not text. */
function cut(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cs}]/gu, ' ');
  if (Buffer.byteLength(clean) <= MAX_TEXT_BYTES) return clean;
  return (
    Buffer.from(clean)
      .subarray(0, MAX_TEXT_BYTES - 4)
      .toString()
      .replace(/\uFFFD+$/u, '') + '…'
  );
}

function fault(field: string, expected: string, got: string): TrustplaneError {
  return new TrustplaneError(CODE, `${field}: expected ${expected}; got ${got}`);
}
