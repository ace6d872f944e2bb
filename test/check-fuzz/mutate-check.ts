import type { SeededRandom } from '../programs/seeded-random.ts';

/** A field of a protobuf message; with fields of its own where its content reads as a message. */
interface Field {
  tag: number;
  content: Buffer;
  fields: Field[] | undefined;
}

const MAX_DEPTH = 9;
const MAX_SPLICE = 64;

/** What is put where another text was. */
const texts: readonly (string | Buffer)[] = [
  '',
  '/',
  '/v1/items/secret/a',
  '/v1/items/a',
  '//v1/items/a',
  '/v1/items/../items/a',
  '/v1/items/%61',
  '/v1/items/a;b',
  '/v1/items/a?x=1#y',
  '/v1/charges',
  '/v1/charges/',
  '/a.B/Get',
  'GET',
  'POST',
  'get',
  'CONNECT',
  'api.example',
  'API.example.:443',
  'x@api.example',
  'api.example,evil.example',
  'spiffe://prod.example/api',
  'spiffe://prod.example/API',
  'spiffe://prod.example/../api',
  'trustplane.policy',
  'other',
  ':path',
  'x-ticket',
  'x-evil',
  'yes',
  'INC-1',
  'INC-1,evil',
  'content-type',
  'application/grpc',
  'iss',
  'https://sso.example',
  '__proto__',
  'constructor',
  'toString',
  '\0',
  '\ud800',
  'x'.repeat(5_000),
  Buffer.from([0xff, 0xfe, 0x2f]),
  Buffer.from('/v1/items/\xc0\xae', 'latin1'),
  Buffer.alloc(300, 0x80),
];

/** Changes a message a little, by its bytes or by its fields; the same for the same numbers. `others`: to take from. */
export function mutateCheck(
  message: Buffer,
  others: readonly Buffer[],
  random: SeededRandom,
): Buffer {
  let mutated = message;
  for (let times = 1 + random(3); times > 0; times--) {
    mutated =
      random(3) === 0 ? mutateBytes(mutated, others, random) : mutateFields(mutated, random);
  }
  return mutated;
}

function mutateBytes(bytes: Buffer, others: readonly Buffer[], random: SeededRandom): Buffer {
  const at = random(bytes.length + 1);
  const length = random(MAX_SPLICE);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  const other = others[random(others.length)] ?? bytes;
  const from = random(other.length + 1);
  const piece = other.subarray(from, from + length);
  switch (random(7)) {
    case 0:
      return before;
    case 1:
      return Buffer.concat([before, piece, after]);
    case 2:
      return Buffer.concat([before, after.subarray(length)]);
    case 3:
      return Buffer.concat([before, piece, after.subarray(length)]);
    case 4:
      return Buffer.concat([before, after.subarray(0, length), after]);
    case 5:
      return Buffer.concat([other.subarray(0, from), after]);
    default: {
      const changed = Buffer.from(bytes);
      const now = changed[at] ?? 0;
      if (at < bytes.length) changed[at] = random(2) === 0 ? random(256) : now ^ (1 << random(8));
      return changed;
    }
  }
}

function mutateFields(bytes: Buffer, random: SeededRandom): Buffer {
  const root = parseFields(bytes, 0);
  if (root === undefined) return bytes;
  let fields = root;
  // Any field of the tree, the deeper the likelier.
  for (;;) {
    const at = random(fields.length);
    const field = fields[at];
    if (field === undefined) break;
    if (field.fields !== undefined && field.fields.length > 0 && random(6) !== 0) {
      fields = field.fields;
      continue;
    }
    changeField(fields, at, field, random);
    break;
  }
  return writeFields(root);
}

function changeField(fields: Field[], at: number, field: Field, random: SeededRandom): void {
  const whole = field.fields === undefined ? field.content : writeFields(field.fields);
  const text = texts[random(texts.length)] ?? '';
  switch (random(9)) {
    case 0:
      fields.splice(at, 1);
      break;
    case 1:
      fields.splice(random(fields.length + 1), 0, { ...field });
      break;
    case 2:
      field.tag = (field.tag & 7) | (random(16) << 3);
      break;
    case 3:
      field.tag = (field.tag & ~7) | random(8);
      break;
    case 4:
      fields.push(...fields.splice(at, 1));
      break;
    case 5:
      fields.splice(at, 0, { tag: field.tag, content: Buffer.from(text), fields: undefined });
      break;
    case 6:
      field.content = whole.subarray(0, random(whole.length + 1));
      field.fields = undefined;
      break;
    default:
      field.content = Buffer.from(text);
      field.fields = undefined;
  }
}

/** Undefined: it is no message. */
function parseFields(bytes: Buffer, depth: number): Field[] | undefined {
  const fields: Field[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    if (tag === undefined || tag.value >> 3 === 0) return undefined;
    const size = sizeAfter(bytes, tag.end, tag.value & 7);
    if (size === undefined || size.end > bytes.length) return undefined;
    const content = bytes.subarray(size.from, size.end);
    const isMessage = (tag.value & 7) === 2 && depth < MAX_DEPTH && content.length > 1;
    const inner = isMessage ? parseFields(content, depth + 1) : undefined;
    fields.push({ tag: tag.value, content, fields: inner });
    at = size.end;
  }
  return fields;
}

function sizeAfter(
  bytes: Buffer,
  at: number,
  wireType: number,
): { readonly from: number; readonly end: number } | undefined {
  if (wireType === 1) return { from: at, end: at + 8 };
  if (wireType === 5) return { from: at, end: at + 4 };
  const varint = readVarint(bytes, at);
  if (varint === undefined) return undefined;
  if (wireType === 0) return { from: at, end: varint.end };
  return wireType === 2 ? { from: varint.end, end: varint.end + varint.value } : undefined;
}

function readVarint(
  bytes: Buffer,
  from: number,
): { readonly value: number; readonly end: number } | undefined {
  let value = 0;
  for (let at = from; at < from + 4; at++) {
    const octet = bytes[at];
    if (octet === undefined) return undefined;
    value |= (octet & 0x7f) << (7 * (at - from));
    if (octet < 0x80) return { value, end: at + 1 };
  }
  return undefined;
}

function writeFields(fields: readonly Field[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ tag, content, fields: inner }) => {
      const bytes = inner === undefined ? content : writeFields(inner);
      return (tag & 7) === 2
        ? [writeVarint(tag), writeVarint(bytes.length), bytes]
        : [writeVarint(tag), bytes];
    }),
  );
}

function writeVarint(value: number): Buffer {
  const octets: number[] = [];
  let rest = value >>> 0;
  for (; rest >= 0x80; rest >>>= 7) octets.push((rest & 0x7f) | 0x80);
  return Buffer.from([...octets, rest]);
}
