import {
  type FederationTerms,
  IdScope,
  messageOf,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { itemLimits } from './item-limits.ts';

/** trustplane.sync.v1.Terms */
export interface WireTerms {
  readonly trust_domain?: string;
  readonly accept?: readonly string[];
  readonly publisher_id?: string;
}

const CODE = 'ERR_SYNC_TERMS';

export function buildTermsMessage(
  trustDomain: string,
  { accept, publisherId }: FederationTerms,
): WireTerms {
  return {
    trust_domain: trustDomain,
    accept: accept.map(String),
    publisher_id: publisherId?.toString() ?? '',
  };
}

/** @throws TrustplaneError ERR_SYNC_TERMS */
export function parseTermsMessage({ trust_domain = '', accept = [], publisher_id }: WireTerms): {
  readonly trustDomain: TrustDomain;
  readonly terms: FederationTerms;
} {
  if (accept.length > itemLimits.scopes) {
    throw fault('accept', `expected at most ${itemLimits.scopes} scopes; got ${accept.length}`);
  }
  const trustDomain = parse('trust_domain', () => TrustDomain.parse(trust_domain));
  const terms = {
    accept: parse('accept', () => accept.map((text) => IdScope.parse(text, trustDomain))),
    publisherId: publisher_id
      ? parse('publisher_id', () => SpiffeId.parse(publisher_id))
      : undefined,
  };
  return { trustDomain, terms };
}

function parse<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw fault(field, messageOf(error), error);
  }
}

function fault(field: string, why: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(CODE, `the ${field} of terms: ${why}`, { cause });
}
