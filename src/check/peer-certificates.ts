import {
  type Certificate,
  decodePem,
  issueInstant,
  parseX509Svid,
  type SpiffeId,
} from '../spiffe/index.ts';
import { Remembered } from './remembered.ts';

/** What a certificate says, which is the same each time. */
export interface PeerCertificate {
  readonly spiffeId: SpiffeId;
  readonly leaf: Certificate;
  readonly issuedAt: number;
}

/** Certificates that are remembered: reading one takes longer than all the rest of a check. */
const MAX_REMEMBERED = 4_096;
const MAX_TEXT = 65_536;
/** Whoever may ask could else have 4,096 of the longest kept. */
const MAX_REMEMBERED_TEXT = 8_192;

/** Reads certificates as a proxy tells them: URL-encoded PEM. */
export class PeerCertificates {
  readonly #read = new Remembered<PeerCertificate | 'bad'>(MAX_REMEMBERED);

  /** Undefined when it is no X509-SVID, or not in force. */
  read(text: string, now: number): PeerCertificate | undefined {
    const read = this.#read.get(text) ?? this.#readOnce(text);
    if (read === 'bad' || now < read.leaf.notBefore || now >= read.leaf.notAfter + 1_000) {
      return undefined;
    }
    return read;
  }

  #readOnce(text: string): PeerCertificate | 'bad' {
    if (text.length > MAX_TEXT) return 'bad';
    const read = readCertificate(text);
    if (text.length <= MAX_REMEMBERED_TEXT) this.#read.set(text, read);
    return read;
  }
}

function readCertificate(text: string): PeerCertificate | 'bad' {
  try {
    const { spiffeId, leaf } = parseX509Svid(decodePem('CERTIFICATE', decodeURIComponent(text)));
    return { spiffeId, leaf, issuedAt: issueInstant(leaf) };
  } catch {
    return 'bad';
  }
}
