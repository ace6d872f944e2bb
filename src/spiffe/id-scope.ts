import { messageOf, TrustplaneError } from './errors.ts';
import { quote } from './quote.ts';
import { SpiffeId } from './spiffe-id.ts';
import type { TrustDomain } from './trust-domain.ts';

const SUBTREE = '/**';

/**
 * Some of the SPIFFE IDs of one trust domain: one exact ID, or with `/**` at the end an ID and all that
 * is below it, by whole segments: `spiffe://b.test/payments/**` holds `/payments` and `/payments/api`,
 * never `/payments2`.
 */
export class IdScope {
  /** This ID itself. */
  readonly exact: string;
  /** What all IDs below begin with, ending in `/`; undefined when there is the exact ID alone. */
  readonly prefix: string | undefined;

  private constructor(exact: string, isSubtree: boolean) {
    this.exact = exact;
    this.prefix = isSubtree ? `${exact}/` : undefined;
  }

  /** @throws TrustplaneError ERR_ID_SCOPE */
  static parse(text: string, trustDomain: TrustDomain): IdScope {
    const isSubtree = text.endsWith(SUBTREE);
    const id = parseId(text, isSubtree ? text.slice(0, -SUBTREE.length) : text);
    if (!id.trustDomain.equals(trustDomain)) {
      throw refused(text, `is of another trust domain than ${trustDomain.name}`);
    }
    if (id.isTrustDomainId && !isSubtree) {
      throw refused(text, `has no path, as no workload has it; "${text}/**" is all of the domain`);
    }
    return new IdScope(id.toString(), isSubtree);
  }

  accepts(id: SpiffeId): boolean {
    const text = id.toString();
    return text === this.exact || (this.prefix !== undefined && text.startsWith(this.prefix));
  }

  toString(): string {
    return this.prefix === undefined ? this.exact : `${this.prefix}**`;
  }
}

function parseId(text: string, id: string): SpiffeId {
  if (id.includes('*')) throw refused(text, 'has "*" elsewhere than in "/**" at its end');
  try {
    return SpiffeId.parse(id);
  } catch (error) {
    throw refused(text, `is no SPIFFE ID, nor one with "/**" behind it: ${messageOf(error)}`);
  }
}

function refused(text: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_ID_SCOPE', `the scope ${quote(text)} ${why}`);
}
