import { createHash } from 'node:crypto';
import {
  type ErrorCode,
  messageOf,
  parseCertificate,
  type TrustDomain,
} from '../../spiffe/index.ts';

/** One certificate, for people. */
export interface CertificateFacts {
  /** The SPIFFE ID, else the first DNS name, else the subject. */
  readonly name: string;
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** SHA-256 of the DER, in hex. */
  readonly fingerprint: string;
}

/** How fetching the bundle of one trust domain goes. Instants in milliseconds since the epoch. */
export interface PeerStatus {
  readonly trustDomain: TrustDomain;
  readonly lastAttemptAt: number | undefined;
  /** The endpoint answered with a bundle that was accepted, or that nothing has changed. */
  readonly lastSuccessAt: number | undefined;
  /** Of the last attempt; undefined when it went well. */
  readonly lastError: { readonly code: ErrorCode; readonly message: string } | undefined;
  /** Of the bundle that is trusted now. */
  readonly sequence: bigint | undefined;
  readonly etag: string | undefined;
  /** Undefined where another server polls. */
  readonly nextAttemptAt: number | undefined;
  /** What the endpoint presented last, believed or not, leaf first. */
  readonly chain: readonly CertificateFacts[];
}

/** @param chain DER, leaf first */
export function describeChain(chain: readonly Uint8Array[]): CertificateFacts[] {
  return chain.map((der) => {
    const fingerprint = createHash('sha256').update(der).digest('hex');
    try {
      const { uriSans, dnsSans, subject, serialNumber, notAfter } = parseCertificate(der);
      const name = printable(uriSans[0] ?? dnsSans[0] ?? subject.text);
      return { name, serialNumber, notAfter, fingerprint };
    } catch (error) {
      const name = printable(messageOf(error));
      return { name, serialNumber: '', notAfter: 0, fingerprint };
    }
  });
}

/** It is shown on terminals, and comes from whoever answered. */
function printable(text: string): string {
  return text.slice(0, 256).replaceAll(/[^ -~]/gu, '?');
}
