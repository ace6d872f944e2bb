import {
  type Certificate,
  type Clock,
  decodePem,
  isAccepted,
  issueInstant,
  parseX509Svid,
  type Revocation,
  type RevocationSubject,
  SpiffeId,
  type TrustMap,
} from '../spiffe/index.ts';
import type { PeerAttributes } from './check-request.ts';

/** Who calls, or why that is not known. */
export type Caller = SpiffeId | 'unauthenticated' | 'bad_svid' | 'unknown_trust_domain' | 'revoked';

export interface CallerReaderOptions {
  trust(): TrustMap;
  findRevocation(subject: RevocationSubject): Revocation | undefined;
  /** False: an ID is believed without its certificate, from which the proxy took it. */
  readonly needsCertificate: boolean;
  readonly clock: Clock;
}

/** What a certificate says, which is the same each time. */
interface ReadCertificate {
  readonly spiffeId: SpiffeId;
  readonly leaf: Certificate;
  readonly issuedAt: number;
}

/** Certificates that are remembered: reading one takes longer than all the rest of a check. */
const MAX_REMEMBERED = 4_096;
const MAX_TEXT = 65_536;

/**
 * Tells who calls from the certificate that the proxy verified: one URI SAN with a valid SPIFFE ID and the
 * rules of leaves (the proxy takes two SANs and invalid paths), in force, of a trust domain that is known,
 * within its scope, and not revoked. Never throws.
 */
export class CallerReader {
  readonly #options: CallerReaderOptions;
  readonly #read = new Map<string, ReadCertificate | undefined>();

  constructor(options: CallerReaderOptions) {
    this.#options = options;
  }

  callerOf({ principal, certificate }: PeerAttributes): Caller {
    if (certificate !== undefined) return this.#judgeCertificate(certificate);
    if (principal === undefined) return 'unauthenticated';
    const id = this.#options.needsCertificate ? undefined : spiffeIdOf(principal);
    return id === undefined ? 'bad_svid' : this.#judge(id);
  }

  #judgeCertificate(text: string): Caller {
    const read = this.#remembered(text);
    const now = this.#options.clock.now();
    if (read === undefined || now < read.leaf.notBefore || now >= read.leaf.notAfter + 1_000) {
      return 'bad_svid';
    }
    return this.#judge(read.spiffeId, read);
  }

  #judge(id: SpiffeId, read?: ReadCertificate): Caller {
    const { own, federated, terms } = this.#options.trust();
    const { trustDomain } = id;
    const bundle = trustDomain.equals(own.trustDomain) ? own : federated.get(trustDomain.name);
    if (bundle === undefined || bundle.x509Authorities.length === 0 || !isAccepted(terms, id)) {
      return 'unknown_trust_domain';
    }
    // Without its certificate an SVID may be as old as any that was revoked.
    const { issuedAt = 0, leaf } = read ?? {};
    const subject = { spiffeId: id, issuedAt, serialNumber: leaf?.serialNumber };
    return this.#options.findRevocation(subject) === undefined ? id : 'revoked';
  }

  #remembered(text: string): ReadCertificate | undefined {
    const known = this.#read.get(text);
    if (known !== undefined || this.#read.has(text)) return known;
    const read = readCertificate(text);
    if (this.#read.size >= MAX_REMEMBERED) this.#forgetOldest();
    this.#read.set(text, read);
    return read;
  }

  #forgetOldest(): void {
    for (const [oldest] of this.#read) return void this.#read.delete(oldest);
  }
}

/** URL-encoded PEM, as Envoy gives it. Undefined when it is no X509-SVID. */
function readCertificate(text: string): ReadCertificate | undefined {
  if (text.length > MAX_TEXT) return undefined;
  try {
    const { spiffeId, leaf } = parseX509Svid(decodePem('CERTIFICATE', decodeURIComponent(text)));
    return { spiffeId, leaf, issuedAt: issueInstant(leaf) };
  } catch {
    return undefined;
  }
}

function spiffeIdOf(text: string): SpiffeId | undefined {
  try {
    const id = SpiffeId.parse(text);
    return id.isTrustDomainId ? undefined : id;
  } catch {
    return undefined;
  }
}
