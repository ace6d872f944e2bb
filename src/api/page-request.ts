import { type ErrorCode, TrustplaneError } from '../spiffe/index.ts';
import type { PageRequest } from '../store/index.ts';

/** What the requests of all lists have. */
export interface WirePageRequest {
  readonly page_size?: number;
  readonly page_token?: string;
}

/** @throws TrustplaneError with `code` */
export function parsePage(
  { page_size = 0, page_token = '' }: WirePageRequest,
  code: ErrorCode,
): PageRequest {
  if (page_size >= 0) return { pageSize: page_size, pageToken: page_token };
  throw new TrustplaneError(code, `page_size: expected 0 or more; got ${page_size}`);
}
