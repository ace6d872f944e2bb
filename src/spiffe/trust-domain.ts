import { TrustplaneError } from './errors.ts';
import { quote } from './quote.ts';

const MAX_BYTES = 255;
const FORBIDDEN = /[^a-z0-9._-]/u;

/**
 * The name of a trust domain, without `spiffe://`: 1–255 bytes out of `[a-z0-9._-]`, opaque
 * otherwise (SPIFFE-ID §2.1). Upper case is refused, not folded.
 */
export class TrustDomain {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /**
   * Parses a bare trust domain name.
   * @throws TrustplaneError ERR_TRUST_DOMAIN
   */
  static parse(name: string): TrustDomain {
    if (name.length === 0) throw invalid('the trust domain name is empty');
    const bad = FORBIDDEN.exec(name);
    if (bad !== null) {
      throw invalid(
        `the trust domain ${quote(name)} has ${quote(bad[0])} at offset ${bad.index}; only a-z, 0-9, ".", "_" and "-" are allowed`,
      );
    }
    if (name.length > MAX_BYTES) {
      throw invalid(`the trust domain has ${name.length} bytes; at most ${MAX_BYTES} are allowed`);
    }
    return new TrustDomain(name);
  }

  /** `spiffe://<name>`, the ID of the trust domain itself. */
  get id(): string {
    return `spiffe://${this.name}`;
  }

  equals(other: TrustDomain): boolean {
    return this.name === other.name;
  }

  toString(): string {
    return this.name;
  }
}

function invalid(message: string): TrustplaneError {
  return new TrustplaneError('ERR_TRUST_DOMAIN', message);
}
