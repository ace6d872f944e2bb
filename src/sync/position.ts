import { quote, TrustplaneError } from '../spiffe/index.ts';
import { parseCount } from './wire-values.ts';

/** One state of what an agent is to know; fit to be stored as JSON. */
export interface Position {
  /** Of one life of a server. */
  readonly epoch: string;
  /** Rises within an epoch. */
  readonly revision: number;
  /** Of all items, lower-case hex. */
  readonly digest: string;
  /** How much of what servers share is in it, for servers to read: up to 128 of `A-Z a-z 0-9 . _ -`. */
  readonly cursor?: string | undefined;
}

/** trustplane.sync.v1.Position */
export interface WirePosition {
  readonly epoch?: string;
  readonly revision?: string;
  readonly digest?: Uint8Array;
  readonly cursor?: string;
}

const DIGEST_BYTES = 32;
const CURSOR = /^[A-Za-z0-9._-]{0,128}$/u;
const EPOCH = /^[A-Za-z0-9_-]{1,64}$/u;

export function buildPosition({ epoch, revision, digest, cursor }: Position): WirePosition {
  return {
    epoch,
    revision: String(revision),
    digest: Buffer.from(digest, 'hex'),
    ...(cursor !== undefined && { cursor }),
  };
}

/** @throws TrustplaneError with `code` */
export function parsePosition(
  { epoch = '', revision, digest, cursor = '' }: WirePosition,
  code: 'ERR_SYNC_REQUEST' | 'ERR_SYNC_UPDATE',
): Position {
  if (!EPOCH.test(epoch)) {
    throw new TrustplaneError(
      code,
      `epoch: expected 1 to 64 of A-Z, a-z, 0-9, "_", "-"; got ${quote(epoch)}`,
    );
  }
  if (!CURSOR.test(cursor)) {
    const expected = 'at most 128 of A-Z, a-z, 0-9, ".", "_", "-"';
    throw new TrustplaneError(code, `cursor: expected ${expected}; got ${quote(cursor)}`);
  }
  return {
    epoch,
    revision: parseCount(revision, 'revision', code),
    digest: parseDigest(digest, code),
    ...(cursor !== '' && { cursor }),
  };
}

/** 32 bytes as lower-case hex. @throws TrustplaneError with `code` */
export function parseDigest(
  digest: Uint8Array | undefined,
  code: 'ERR_SYNC_REQUEST' | 'ERR_SYNC_UPDATE' | 'ERR_SYNC_POLICIES',
): string {
  if (digest?.length === DIGEST_BYTES) return Buffer.from(digest).toString('hex');
  const got = digest?.length ?? 0;
  throw new TrustplaneError(code, `digest: expected ${DIGEST_BYTES} bytes; got ${got}`);
}
