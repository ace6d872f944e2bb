/** An element of an answer of AWS. */
export interface XmlElement {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** Its own, joined. */
  readonly text: string;
}

const MAX_CHARACTERS = 1 << 20;
const MAX_DEPTH = 32;
const DECLARATION = /^\s*(?:<\?xml [^?<]{0,100}\?>)?\s*/u;
const TOKEN =
  /<\/([A-Za-z][\w.-]{0,127})\s*>|<([A-Za-z][\w.-]{0,127})((?:\s+[\w:.-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/uy;
const REFERENCE = /&(?:(lt|gt|amp|quot|apos)|#(\d{1,7})|#x([0-9A-Fa-f]{1,6}));|&/gu;
const NAMED = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);

/**
 * Parses the XML that query APIs of AWS answer with: elements, text and the predefined entities.
 * Attributes are passed over; document types, comments, CDATA and instructions are refused. At most 1 MiB,
 * nested at most 32 deep.
 * @throws Error
 */
export function parseAwsXml(text: string): XmlElement {
  if (text.length > MAX_CHARACTERS) throw new Error(`the XML has ${text.length} characters`);
  const root: Open = { name: '', children: [], text: '' };
  const open = [root];
  let offset = DECLARATION.exec(text)?.[0].length ?? 0;
  while (offset < text.length) {
    TOKEN.lastIndex = offset;
    const [token, closed, opened, , empty, words] = TOKEN.exec(text) ?? [];
    if (token === undefined) throw malformed(offset, 'expected a tag or text');
    const top = open.at(-1) ?? root;
    if (words !== undefined) top.text += decode(words, offset);
    if (closed !== undefined && (open.length === 1 || open.pop()?.name !== closed)) {
      throw malformed(offset, `</${closed}> closes another element`);
    }
    if (opened !== undefined) {
      const element: Open = { name: opened, children: [], text: '' };
      top.children.push(element);
      if (empty === '') open.push(element);
      if (open.length > MAX_DEPTH) throw malformed(offset, `nested over ${MAX_DEPTH} deep`);
    }
    offset += token.length;
  }
  const [only, ...others] = root.children;
  const isWhole = open.length === 1 && others.length === 0 && root.text.trim() === '';
  if (only !== undefined && isWhole) return only;
  throw malformed(offset, 'expected one whole element');
}

interface Open {
  readonly name: string;
  readonly children: Open[];
  text: string;
}

/** The elements at the end of a path of names. */
export function elementsAt(
  element: XmlElement | undefined,
  ...path: readonly string[]
): readonly XmlElement[] {
  let found = element === undefined ? [] : [element];
  for (const name of path) {
    found = found.flatMap(({ children }) => children.filter((child) => child.name === name));
  }
  return found;
}

/** The text of the one element there; undefined when there is none, or more. */
export function textAt(
  element: XmlElement | undefined,
  ...path: readonly string[]
): string | undefined {
  const [only, ...others] = elementsAt(element, ...path);
  return others.length === 0 ? only?.text : undefined;
}

function decode(text: string, offset: number): string {
  return text.replace(REFERENCE, (_, name?: string, decimal?: string, hex?: string) => {
    const known = name === undefined ? undefined : NAMED.get(name);
    if (known !== undefined) return known;
    const point = Number.parseInt(decimal ?? hex ?? '', decimal === undefined ? 16 : 10);
    if (point > 0 && point <= 0x10ffff) return String.fromCodePoint(point);
    throw malformed(offset, 'an entity that is not known');
  });
}

function malformed(offset: number, why: string): Error {
  return new Error(`malformed XML at ${offset}: ${why}`);
}
