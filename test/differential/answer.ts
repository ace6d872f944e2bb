import { ProtoCursor } from '../../src/check/proto-cursor.ts';

/** What a CheckResponse has a proxy do. */
export interface Answer {
  /** 0: it lets the request through. */
  readonly code: number;
  /** Of the answer that a denied caller gets. */
  readonly status: number | undefined;
  readonly body: string;
  readonly written: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

/** Reads an encoded CheckResponse (envoy.service.auth.v3). */
export function readAnswer(bytes: Uint8Array): Answer {
  const all = fieldsOf(bytes);
  const [response] = [2, 3, 5].flatMap((field) => bytesOf(all, field));
  const inner = response === undefined ? [] : fieldsOf(response);
  const isOk = bytesOf(all, 3).length > 0;
  const headers = bytesOf(inner, 2).map((option): readonly [string, string] => {
    const [header = Buffer.alloc(0)] = bytesOf(fieldsOf(option), 1);
    return [textOf(fieldsOf(header), 1), textOf(fieldsOf(header), 2)];
  });
  return {
    code: numberOf(bytesOf(all, 1)[0]) ?? 0,
    status: isOk ? undefined : numberOf(bytesOf(inner, 1)[0]),
    body: isOk ? '' : textOf(inner, 3),
    written: new Map(isOk ? headers : []),
    removed: isOk ? bytesOf(inner, 5).map(String) : [],
  };
}

type Field = readonly [number: number, content: Buffer | number];

function fieldsOf(bytes: Uint8Array): readonly Field[] {
  const cursor = new ProtoCursor(bytes);
  const fields: Field[] = [];
  while (cursor.next()) {
    const content = Buffer.from(bytes.subarray(cursor.from, cursor.to));
    fields.push([cursor.field, cursor.wireType === 2 ? content : cursor.value]);
  }
  return fields;
}

function bytesOf(fields: readonly Field[], wanted: number): readonly Buffer[] {
  return fields.flatMap(([number, content]) =>
    number === wanted && typeof content !== 'number' ? [content] : [],
  );
}

function textOf(fields: readonly Field[], wanted: number): string {
  return bytesOf(fields, wanted).map(String).join('');
}

/** The first field of a message, which is a number. */
function numberOf(message: Buffer | undefined): number | undefined {
  if (message === undefined) return undefined;
  const [, number] = fieldsOf(message).find(([field]) => field === 1) ?? [];
  return typeof number === 'number' ? number : undefined;
}
