import { messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';

/**
 * A trust domain as callers name it: `b.test` or `spiffe://b.test`.
 * @throws TrustplaneError ERR_API_REQUEST, naming the field
 */
export function parseTrustDomain(text: string | undefined, field: string): TrustDomain {
  try {
    return TrustDomain.parse((text ?? '').replace(/^spiffe:\/\//u, ''));
  } catch (cause) {
    throw new TrustplaneError('ERR_API_REQUEST', `${field}: ${messageOf(cause)}`, { cause });
  }
}

/** The same, of another than the own. @throws TrustplaneError ERR_API_REQUEST */
export function parseForeignDomain(
  text: string | undefined,
  field: string,
  own: TrustDomain,
): TrustDomain {
  const trustDomain = parseTrustDomain(text, field);
  if (!trustDomain.equals(own)) return trustDomain;
  const message = `${field}: expected a foreign trust domain; got ${own.name}, the own one`;
  throw new TrustplaneError('ERR_API_REQUEST', message);
}
