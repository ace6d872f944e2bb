import {
  type ErrorCode,
  messageOf,
  quote,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';

/** spire.api.types.SPIFFEID as it was decoded: what was not on the wire is undefined. */
export interface WireSpiffeId {
  readonly trust_domain?: string;
  readonly path?: string;
}

/** spire.api.types.Selector */
export interface WireSelector {
  readonly type?: string;
  readonly value?: string;
}

/** @throws TrustplaneError with `code`, naming the field */
export function parseSpiffeId(
  id: WireSpiffeId | null | undefined,
  field: string,
  code: ErrorCode,
): SpiffeId {
  if (id === undefined || id === null) {
    throw new TrustplaneError(code, `${field}: expected a SPIFFE ID; got none`);
  }
  try {
    return SpiffeId.of(TrustDomain.parse(id.trust_domain ?? ''), id.path ?? '');
  } catch (error) {
    throw new TrustplaneError(code, `${field}: ${messageOf(error)}`, { cause: error });
  }
}

export function buildSpiffeId(id: SpiffeId): WireSpiffeId {
  return { trust_domain: id.trustDomain.name, path: id.path };
}

/** Milliseconds since the epoch as an int64 of seconds; 0 for undefined. */
export function buildSeconds(instant: number | undefined): string {
  return String(Math.floor((instant ?? 0) / 1000));
}

/** A 64-bit integer that is at least 0 and exact as a number. @throws TrustplaneError with `code` */
export function parseCount(text: string | undefined, field: string, code: ErrorCode): number {
  const count = /^[0-9]{1,16}$/u.test(text ?? '0') ? Number(text ?? '0') : Number.NaN;
  if (Number.isSafeInteger(count)) return count;
  throw new TrustplaneError(
    code,
    `${field}: expected an integer from 0 to 2^53 - 1; got ${quote(text ?? '')}`,
  );
}
