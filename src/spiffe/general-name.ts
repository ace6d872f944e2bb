import { type DerElement, DerReader, derContent, derError } from './der-reader.ts';
import { derAscii } from './der-values.ts';

/** The CHOICE numbers of GeneralName (RFC 5280 §4.2.1.6). */
export const generalNameTypes = { email: 1, dns: 2, directory: 4, uri: 6, ip: 7 } as const;

/** A name of a subject or of a name constraint. */
export interface GeneralName {
  /** The CHOICE number, 0 to 8. */
  readonly type: number;
  /** For e-mail, DNS and URI names. */
  readonly text: string | undefined;
  readonly content: Uint8Array;
}

/** Parses a GeneralNames that is not empty. @throws TrustplaneError ERR_DER */
export function parseGeneralNames(bytes: Uint8Array, what: string): GeneralName[] {
  const outer = DerReader.of(bytes);
  const names: GeneralName[] = [];
  const reader = outer.enter(what);
  do names.push(parseGeneralName(reader.read(what), what));
  while (!reader.atEnd);
  outer.finish(what);
  return names;
}

/** @throws TrustplaneError ERR_DER */
export function parseGeneralName(element: DerElement, what: string): GeneralName {
  const type = element.tag & 0x1f;
  const isContext = (element.tag & 0xc0) === 0x80;
  const isConstructed = (element.tag & 0x20) !== 0;
  const shouldBeConstructed = type === 0 || type === 3 || type === 4 || type === 5;
  if (!isContext || type > 8 || isConstructed !== shouldBeConstructed) {
    throw derError(element, what, 'is no GeneralName');
  }
  const { email, dns, uri } = generalNameTypes;
  const isText = type === email || type === dns || type === uri;
  return { type, text: isText ? derAscii(element, what) : undefined, content: derContent(element) };
}
