import { quote, TrustplaneError } from '../spiffe/index.ts';

/** The name of a set of documents: 1 to 63 of `a-z 0-9 . _ -`, the first a letter or digit. @throws TrustplaneError ERR_APPLY_REQUEST */
export function parseSetName(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,62}$/u.test(text)) return text;
  const expected = '1 to 63 characters out of a-z, 0-9, ".", "_", "-", a letter or digit first';
  throw new TrustplaneError('ERR_APPLY_REQUEST', `set: expected ${expected}; got ${quote(text)}`);
}
