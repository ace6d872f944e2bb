import { itemError } from './remote-error.ts';

/** spire.api.types.Status: how one item of a batch went. */
export interface StatusMessage {
  readonly code?: number;
  readonly message?: string;
}

/** @throws TrustplaneError ERR_REMOTE* when the item failed; its message stands between `before` and `after` */
export function failUnlessOk(
  status: StatusMessage | undefined,
  before: string = '',
  after: string = '',
): void {
  const code = status?.code ?? 0;
  if (code !== 0) throw itemError(code, `${before}${status?.message ?? ''}${after}`);
}
