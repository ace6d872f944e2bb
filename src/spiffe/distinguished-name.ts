import { type DerElement, DerReader, derContent, derEncoded, derTags } from './der-reader.ts';
import { derOid, derUtf8 } from './der-values.ts';

/** An X.501 name; two names are the same when their DER is. */
export interface DistinguishedName {
  readonly der: Uint8Array;
  /** For people: `C=US, O=trustplane, CN=web`, in the order of the certificate, control characters escaped. */
  readonly text: string;
  /** The attribute types, as dotted OIDs. */
  readonly attributeTypes: readonly string[];
}

const SHORT_NAMES = new Map([
  ['2.5.4.3', 'CN'],
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
  const names = DerReader.inside(element, what);
  while (!names.atEnd) {
    const set = names.enter(what, derTags.set);
    do {
      const pair = set.enter(what);
      const type = derOid(pair.expect(derTags.oid, what), what);
      const value = attributeText(pair.read(what), what);
      pair.finish(what);
      attributeTypes.push(type);
      parts.push(`${SHORT_NAMES.get(type) ?? type}=${value}`);
    } while (!set.atEnd);
  }
  return { der: derEncoded(element), text: parts.join(', '), attributeTypes };
}

function attributeText(element: DerElement, what: string): string {
  switch (element.tag) {
    case derTags.utf8String:
    case derTags.printableString:
    case derTags.ia5String:
      return escape(derUtf8(element, what));
    default:
      return `#${Buffer.from(derContent(element)).toString('hex')}`;
  }
}

function escape(text: string): string {
  return text.replace(SPECIAL, (character) => {
    if (character === ' ') return character;
    if (character > ' ' && character < '\x7f') return `\\${character}`;
    return `\\u{${character.codePointAt(0)?.toString(16)}}`;
  });
}
