import { type DerElement, DerReader, derContent, derEncoded, derTags } from './der-reader.ts';
import { derOid, derUtf8 } from './der-values.ts';

/** An X.501 name; two names are the same when their DER is. */
export interface DistinguishedName {
  readonly der: Uint8Array;
  /** For people: `C=US, O=trustplane, CN=web`, in the order of the certificate, control characters escaped. */
  readonly text: string;
  /** The last CN, as it stands there; undefined when there is none, or it is in an obsolete encoding. */
  readonly commonName: string | undefined;
  /** The attribute types, as dotted OIDs. */
  readonly attributeTypes: readonly string[];
}

const OID_COMMON_NAME = '2.5.4.3';
const SHORT_NAMES = new Map([
  [OID_COMMON_NAME, 'CN'],
  ['2.5.4.4', 'SN'],
  ['2.5.4.5', 'serialNumber'],
  ['2.5.4.6', 'C'],
  ['2.5.4.7', 'L'],
  ['2.5.4.8', 'ST'],
  ['2.5.4.9', 'street'],
  ['2.5.4.10', 'O'],
  ['2.5.4.11', 'OU'],
  ['2.5.4.45', 'x500UniqueIdentifier'],
  ['0.9.2342.19200300.100.1.1', 'UID'],
  ['0.9.2342.19200300.100.1.25', 'DC'],
  ['1.2.840.113549.1.9.1', 'emailAddress'],
]);
const SPECIAL = /[\p{C}\p{Z},+"\\<>;=]/gu;

/** Parses a Name (RFC 5280 §4.1.2.4). @throws TrustplaneError ERR_DER */
export function parseDistinguishedName(element: DerElement, what: string): DistinguishedName {
  const attributeTypes: string[] = [];
  const parts: string[] = [];
  let commonName: string | undefined;
  const names = DerReader.inside(element, what);
  while (!names.atEnd) {
    const set = names.enter(what, derTags.set);
    do {
      const pair = set.enter(what);
      const type = derOid(pair.expect(derTags.oid, what), what);
      const value = pair.read(what);
      const text = attributeText(value, what);
      pair.finish(what);
      attributeTypes.push(type);
      if (type === OID_COMMON_NAME) commonName = text;
      const shown = text === undefined ? `#${hexOf(value)}` : escape(text);
      parts.push(`${SHORT_NAMES.get(type) ?? type}=${shown}`);
    } while (!set.atEnd);
  }
  return { der: derEncoded(element), text: parts.join(', '), commonName, attributeTypes };
}

function attributeText(element: DerElement, what: string): string | undefined {
  switch (element.tag) {
    case derTags.utf8String:
    case derTags.printableString:
    case derTags.ia5String:
      return derUtf8(element, what);
    default:
      return undefined;
  }
}

function hexOf(element: DerElement): string {
  return Buffer.from(derContent(element)).toString('hex');
}

function escape(text: string): string {
  return text.replace(SPECIAL, (character) => {
    if (character === ' ') return character;
    if (character > ' ' && character < '\x7f') return `\\${character}`;
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
