import {
  derTags,
  writeBitString,
  writeConstructed,
  writeDer,
  writeOctetString,
  writeOid,
  writeSequence,
  writeTime,
  writeUnsignedInteger,
} from '../spiffe/index.ts';
import { writeAuthorityKeyId } from './certificate-extensions.ts';
import type { SigningKey } from './key-manager.ts';
import { signatureAlgorithms } from './signature-algorithm.ts';

/** Why a certificate is revoked, as far as those who check are told (RFC 5280 §5.3.1). */
export const crlReasons = {
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  privilegeWithdrawn: 9,
} as const;
export type CrlReason = keyof typeof crlReasons;

export interface CrlEntry {
  /** Lower-case hex. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly revokedAt: number;
  readonly reason: CrlReason;
}

export interface CrlFields {
  /** Above that of any before. */
  readonly number: bigint;
  /** Milliseconds since the epoch. */
  readonly thisUpdate: number;
  /** Milliseconds since the epoch. */
  readonly nextUpdate: number;
  /** As `writeCrlEntries` makes it. */
  readonly revoked: Uint8Array;
}

/** The authority that signs. */
export interface CrlSigner {
  readonly key: SigningKey;
  /** DER of its subject. */
  readonly issuerName: Uint8Array;
  readonly issuerKeyId: Uint8Array;
}

const VERSION_2 = writeUnsignedInteger(Uint8Array.of(1));
const REASON = writeOid('2.5.29.21');
const CRL_NUMBER = writeOid('2.5.29.20');

/** Writes and signs a CRL (DER): v2, with the authority key identifier and the number (RFC 5280 §5). */
export async function writeCrl(signer: CrlSigner, fields: CrlFields): Promise<Uint8Array> {
  const { key, issuerName, issuerKeyId } = signer;
  const algorithm = signatureAlgorithms[key.keyType];
  const number = writeOctetString(writeUnsignedInteger(bytesOf(fields.number.toString(16))));
  const tbs = writeSequence(
    VERSION_2,
    algorithm,
    issuerName,
    writeTime(fields.thisUpdate),
    writeTime(fields.nextUpdate),
    // An empty list is left out.
    ...(fields.revoked.length > 0 ? [writeSequence(fields.revoked)] : []),
    writeConstructed(
      0,
      writeSequence(writeAuthorityKeyId(issuerKeyId), writeSequence(CRL_NUMBER, number)),
    ),
  );
  return new Uint8Array(writeSequence(tbs, algorithm, writeBitString(await key.sign(tbs))));
}

/** What a list names, in order of the serial numbers, each once: the same for the same certificates. */
export function writeCrlEntries(entries: readonly CrlEntry[]): Uint8Array {
  const bySerial = new Map(entries.map((entry) => [BigInt(`0x${entry.serialNumber}`), entry]));
  const sorted = [...bySerial].sort(([one], [other]) => (one < other ? -1 : 1));
  return Buffer.concat(sorted.map(([, entry]) => writeEntry(entry)));
}

function writeEntry({ serialNumber, revokedAt, reason }: CrlEntry): Uint8Array {
  const code = writeDer(derTags.enumerated, Uint8Array.of(crlReasons[reason]));
  return writeSequence(
    writeUnsignedInteger(bytesOf(serialNumber)),
    writeTime(revokedAt),
    writeSequence(writeSequence(REASON, writeOctetString(code))),
  );
}

function bytesOf(hex: string): Uint8Array {
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
}
