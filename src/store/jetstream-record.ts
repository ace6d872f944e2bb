import { crc32 } from 'node:zlib';
import { type MsgHdrs, MsgHdrsImpl } from '@nats-io/transport-node';
import { TrustplaneError } from '../spiffe/errors.ts';
import { buildHeaders, type JetStreamAnswer } from './jetstream-api.ts';
import type { JetStreamPlace } from './jetstream-place.ts';
import type { StoreEvent } from './store.ts';
import { isKey } from './store-rules.ts';

const CHECKSUM = 'Trustplane-Crc32';
const DELETED_AT = 'Trustplane-Deleted-At';
const MESSAGE_ID = 'Nats-Msg-Id';
const EXPECTED = 'Nats-Expected-Last-Subject-Sequence';
const MARKER: Readonly<Record<string, string>> = { 'KV-Operation': 'DEL' };

/** A message of a stream. */
export interface JetStreamMessage {
  readonly subject: string;
  readonly revision: number;
  readonly headers: MsgHdrs | undefined;
  readonly data: Uint8Array;
}

/** A change as a stream keeps it. */
export interface JetStreamRecord {
  readonly event: StoreEvent;
  /** In milliseconds since the Unix epoch; undefined: not deleted. */
  readonly deletedAt: number | undefined;
  /** Which no other write has. */
  readonly id: string;
}

/** What is to be written. */
export interface WrittenRecord {
  readonly key: string;
  /** Empty for a delete. */
  readonly value: Uint8Array;
  readonly deletedAt: number | undefined;
  readonly id: string;
}

/** The headers of a message. @param condition the sequence that the subject's last message must have */
export function recordHeaders(
  place: JetStreamPlace,
  record: WrittenRecord,
  condition: number | undefined,
): MsgHdrs {
  const { deletedAt, id } = record;
  return buildHeaders({
    [MESSAGE_ID]: id,
    [CHECKSUM]: checksumOf(place, record),
    ...(condition === undefined ? {} : { [EXPECTED]: String(condition) }),
    ...(deletedAt === undefined ? {} : { ...MARKER, [DELETED_AT]: String(deletedAt) }),
  });
}

/** @throws TrustplaneError ERR_STORE_DAMAGED */
export function readRecord(place: JetStreamPlace, message: JetStreamMessage): JetStreamRecord {
  const { key, deletedAt, id } = readHeaders(place, message);
  const { revision, data } = message;
  const sum = message.headers?.get(CHECKSUM);
  if (sum !== checksumOf(place, { key, value: data, deletedAt, id })) throw damaged(place, message);
  if (deletedAt !== undefined) return { event: { type: 'delete', key, revision }, deletedAt, id };
  return { event: { type: 'put', key, value: data, revision }, deletedAt, id };
}

/** The same without the value, which is not there or not needed. @throws TrustplaneError ERR_STORE_DAMAGED */
export function readHeaders(
  place: JetStreamPlace,
  message: JetStreamMessage,
): Omit<WrittenRecord, 'value'> {
  const key = place.keyOf(message.subject);
  const id = message.headers?.get(MESSAGE_ID) ?? '';
  const deleted = message.headers?.get(DELETED_AT) ?? '';
  if (key === undefined || !isKey(key) || id === '' || !/^\d{0,16}$/u.test(deleted)) {
    throw damaged(place, message);
  }
  return { key, id, deletedAt: deleted === '' ? undefined : Number(deleted) };
}

/** The answer to STREAM.MSG.GET. @throws TrustplaneError ERR_STORE_UNAVAILABLE */
export function messageOf(answer: JetStreamAnswer): JetStreamMessage {
  const message = answer.in('message');
  const text = message.get('hdrs');
  return {
    subject: message.text('subject'),
    revision: message.number('seq'),
    headers: typeof text === 'string' ? MsgHdrsImpl.decode(bytesOf(text)) : undefined,
    data: bytesOf(message.get('data')),
  };
}

function bytesOf(text: unknown): Uint8Array {
  return typeof text === 'string' ? Uint8Array.from(Buffer.from(text, 'base64')) : new Uint8Array();
}

function checksumOf(place: JetStreamPlace, { key, value, deletedAt, id }: WrittenRecord): string {
  const head = crc32(`${place.bucket}\n${key}\n${id}\n${deletedAt ?? ''}\n`);
  return crc32(value, head).toString(16).padStart(8, '0');
}

function damaged(place: JetStreamPlace, { subject, revision }: JetStreamMessage): TrustplaneError {
  return new TrustplaneError(
    'ERR_STORE_DAMAGED',
    `message ${revision} (${JSON.stringify(subject)}) of the stream ${place.stream} is not what trustplane wrote; restore the bucket ${place.bucket} from a backup, or write the record again`,
  );
}
