import { decodeBase64 } from './base64.ts';
import { TrustplaneError } from './errors.ts';

const MAX_CHARACTERS = 4 << 20;
const MAX_BLOCKS = 4096;
const BEGIN = /^-----BEGIN ([A-Z0-9](?:[A-Z0-9 ]*[A-Z0-9])?)-----$/;
const LINE_LENGTH = 64;

/** Encodes DER as one PEM block (RFC 7468) with a newline at the end. */
export function encodePem(label: string, der: Uint8Array): string {
  const base64 = Buffer.from(der).toString('base64');
  const lines = base64.match(new RegExp(`.{1,${LINE_LENGTH}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

/**
 * Decodes the PEM blocks of a text, which all have this label. Only blank lines may stand between
 * blocks, so that a damaged block is an error and not a certificate less. At most 4 MiB, 4096 blocks.
 * @throws TrustplaneError ERR_PEM, with the line
 */
export function decodePem(label: string, text: string): Uint8Array[] {
  if (text.length > MAX_CHARACTERS) {
    throw malformed(1, `the text has ${text.length} characters; at most ${MAX_CHARACTERS}`);
  }
  const blocks: Uint8Array[] = [];
  const lines = text.split(/\r?\n/);
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index]?.trimEnd();
    if (line === undefined || line === '') continue;
    const found = BEGIN.exec(line)?.[1];
    if (found !== label) {
      const got = found ?? line.slice(0, 40);
      throw malformed(index + 1, `expected a block of ${label}; got ${JSON.stringify(got)}`);
    }
    if (blocks.length === MAX_BLOCKS) throw malformed(index + 1, `over ${MAX_BLOCKS} blocks`);
    const end = lines.indexOf(`-----END ${label}-----`, index + 1);
    if (end === -1) throw malformed(index + 1, `a block of ${label} without END`);
    const bytes = decodeBase64(lines.slice(index + 1, end).join(''));
    if (bytes === undefined || bytes.length === 0) {
      throw malformed(index + 1, `a block of ${label} that is not base64`);
    }
    blocks.push(bytes);
    index = end;
  }
  return blocks;
}

function malformed(line: number, why: string): TrustplaneError {
  return new TrustplaneError('ERR_PEM', `malformed PEM at line ${line}: ${why}`);
}
