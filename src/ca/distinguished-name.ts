import { writeDirectoryString, writeOid, writeSequence, writeSetOfOne } from '../spiffe/index.ts';

export type AttributeType =
  | 'commonName'
  | 'serialNumber'
  | 'country'
  | 'organization'
  | 'organizationalUnit';

/** One attribute of an X.501 name; each is a relative distinguished name of its own. */
export interface NameAttribute {
  readonly type: AttributeType;
  /** At most 64 characters (RFC 5280 appendix A.1); a country is two letters. */
  readonly value: string;
}

const attributeOids: Readonly<Record<AttributeType, Uint8Array>> = {
  commonName: writeOid('2.5.4.3'),
  serialNumber: writeOid('2.5.4.5'),
  country: writeOid('2.5.4.6'),
  organization: writeOid('2.5.4.10'),
  organizationalUnit: writeOid('2.5.4.11'),
};

/** DER of a Name; empty without attributes. */
export function writeName(attributes: readonly NameAttribute[]): Uint8Array {
  return writeSequence(
    ...attributes.map(({ type, value }) =>
      writeSetOfOne(writeSequence(attributeOids[type], writeDirectoryString(value))),
    ),
  );
}
