import type { ErrorCode, TrustDomain } from '../spiffe/index.ts';

/** What is kept for each foreign trust domain under one prefix of the bucket `federation`. */
export interface RecordKind<Value> {
  /** `bundle` or `relationship`; the first token of its keys. */
  readonly name: string;
  readonly notFoundCode: ErrorCode;
  keyOf(trustDomain: TrustDomain): string;
  /** The trust domain of a key. */
  nameOf(key: string): string;
  /** @throws TrustplaneError ERR_FEDERATION_TOO_LARGE */
  encode(value: Value): Uint8Array;
  /** @throws TrustplaneError ERR_FEDERATION_RECORD */
  decode(key: string, value: Uint8Array): Value;
}
