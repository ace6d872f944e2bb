/** Of one text of a request. */
const MAX_TEXT = 256;
/** Of one list. */
const MAX_ITEMS = 20;
/** Of one text, about. */
const MAX_LENGTH = 2_048;

/**
 * The named fields of a message as texts: each bounded, keys and certificates by their size alone. Lists at the top
 * are told whole, in as many texts as that takes: nothing hides behind the first items of a batch.
 */
export function describeFields(message: unknown, fields: readonly string[]): readonly string[] {
  if (typeof message !== 'object' || message === null) return [];
  return fields.flatMap((name) => {
    const value: unknown = Reflect.get(message, name);
    if (!isSaid(value)) return [];
    const texts = Array.isArray(value) ? listed(value) : [textOf(value)];
    return texts.map((text) => `${name}=${text}`);
  });
}

/** Texts side by side, as far as they fit into one. */
export function packTexts(texts: readonly string[]): readonly string[] {
  const packed: string[] = [];
  for (const text of texts) {
    const last = packed.at(-1);
    if (last !== undefined && last.length + text.length < MAX_LENGTH)
      packed.push(`${packed.pop()} ${text}`);
    else packed.push(text);
  }
  return packed;
}

function listed(items: readonly unknown[]): readonly string[] {
  const texts: string[] = [];
  let open: string[] = [];
  let length = 0;
  const close = (): void => {
    if (open.length > 0) texts.push(`[${open.join(',')}]`);
    open = [];
    length = 0;
  };
  for (const text of items.map(textOf)) {
    if (length + text.length > MAX_LENGTH) close();
    open.push(text);
    length += text.length + 1;
  }
  close();
  return texts;
}

function textOf(value: unknown): string {
  return cut(JSON.stringify(brief(value)), MAX_LENGTH);
}

/** Of a batch, how many items were refused; `total` 0: it was none. */
export function countRefused(answer: unknown): {
  readonly refused: number;
  readonly total: number;
} {
  const results: unknown =
    typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'results') : undefined;
  if (!Array.isArray(results)) return { refused: 0, total: 0 };
  return { refused: results.filter(isRefused).length, total: results.length };
}

/** The IDs that a batch made, which the request may not know. */
export function madeIds(answer: unknown): readonly string[] {
  const results: unknown =
    typeof answer === 'object' && answer !== null ? Reflect.get(answer, 'results') : undefined;
  if (!Array.isArray(results)) return [];
  return results.flatMap((result: unknown) => {
    const entry: unknown = at(result, 'entry');
    const id: unknown = at(entry, 'id');
    return typeof id === 'string' ? [id] : [];
  });
}

function isRefused(result: unknown): boolean {
  const code: unknown = at(at(result, 'status'), 'code');
  return typeof code === 'number' && code !== 0;
}

function at(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}

/** Defaults of the wire say nothing. */
function isSaid(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === false || value === 0)
    return false;
  return !(Array.isArray(value) && value.length === 0);
}

function brief(value: unknown): unknown {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'string') return cut(value, MAX_TEXT);
  if (Array.isArray(value)) {
    const items: unknown[] = value.slice(0, MAX_ITEMS).map(brief);
    return value.length <= MAX_ITEMS ? items : [...items, `and ${value.length - MAX_ITEMS} more`];
  }
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([, inner]) => isSaid(inner));
  const [first, second] = fields;
  // A SPIFFE ID as it is written everywhere else.
  if (first?.[0] === 'trust_domain' && second?.[0] === 'path' && fields.length === 2) {
    return cut(`spiffe://${String(first[1])}${String(second[1])}`, MAX_TEXT);
  }
  // What is short comes first: no long name or list cuts off that an entry is an administrator's.
  const inOrder = fields.toSorted(([, one], [, other]) => rankOf(one) - rankOf(other));
  return Object.fromEntries(inOrder.map(([name, inner]) => [name, brief(inner)]));
}

function rankOf(value: unknown): number {
  if (Array.isArray(value)) return 3;
  if (typeof value === 'object') return 2;
  return typeof value === 'string' ? 1 : 0;
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1).toWellFormed()}…`;
}
