import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { type PolicyFile, policyFile, policyTextLimits } from '../spiffe/index.ts';

const LEVEL = 6;
/** Of a record; see storeLimits. */
const PART_BYTES = 900_000;
const LENGTHS_BYTES = 6;
const MAX_BYTES =
  policyTextLimits.bytes + policyTextLimits.files * (policyTextLimits.nameBytes + LENGTHS_BYTES);

const zip = promisify(gzip);
const unzip = promisify(gunzip);

/** Files as records are made of them: compressed together, in parts that fit into one each. */
export async function packTexts(files: readonly PolicyFile[]): Promise<readonly Uint8Array[]> {
  const whole = files.flatMap(({ name, bytes }) => {
    const lengths = Buffer.alloc(LENGTHS_BYTES);
    lengths.writeUInt16BE(name.length, 0);
    lengths.writeUInt32BE(bytes.length, 2);
    return [lengths, Buffer.from(name), bytes];
  });
  const packed = await zip(Buffer.concat(whole), { level: LEVEL });
  const parts: Uint8Array[] = [];
  for (let at = 0; at < packed.length; at += PART_BYTES) {
    parts.push(packed.subarray(at, at + PART_BYTES));
  }
  return parts;
}

/** @throws an Error when they are not what `packTexts` made */
export async function unpackTexts(parts: readonly Uint8Array[]): Promise<readonly PolicyFile[]> {
  const whole = await unzip(Buffer.concat(parts), { maxOutputLength: MAX_BYTES });
  const files: PolicyFile[] = [];
  for (let at = 0; at < whole.length; ) {
    const nameAt = at + LENGTHS_BYTES;
    const bytesAt = nameAt + whole.readUInt16BE(at);
    const end = bytesAt + whole.readUInt32BE(at + 2);
    if (end > whole.length) throw new Error('a file ends behind the last byte');
    files.push(policyFile(whole.toString('utf8', nameAt, bytesAt), whole.subarray(bytesAt, end)));
    at = end;
  }
  return files;
}
