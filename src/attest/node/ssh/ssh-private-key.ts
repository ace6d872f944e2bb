import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { decodePem } from '../../../spiffe/index.ts';
import { ecCurves, isSshKeyType, parseSshPublicKey, type SshKeyType } from './ssh-public-key.ts';
import { SshReader } from './ssh-reader.ts';

const LABEL = 'OPENSSH PRIVATE KEY';
const MAGIC = 'openssh-key-v1\0';
const MAX_KEY_BYTES = 16_384;
const MAX_NUMBER_BYTES = 1_024;

/** Parses an unencrypted private key, in OpenSSH's own format or another PEM. @throws Error */
export function parseSshPrivateKey(text: string): KeyObject {
  if (!text.includes(`BEGIN ${LABEL}-----`)) return createPrivateKey(text);
  const [bytes, ...others] = decodePem(LABEL, text);
  if (bytes === undefined || others.length > 0) throw new Error('expected one private key');
  const magic = Buffer.from(bytes.subarray(0, MAGIC.length)).toString('latin1');
  if (magic !== MAGIC) throw new Error('it does not begin as a key of OpenSSH');
  const reader = new SshReader(bytes.subarray(MAGIC.length), 'the private key');
  const cipher = reader.text('its cipher', 64);
  if (cipher !== 'none') throw new Error('it is encrypted; expected a key without passphrase');
  reader.string('its key derivation', 64);
  reader.string('options of that', 0);
  const count = reader.uint32('its count');
  if (count !== 1) throw new Error(`it has ${count} keys; expected one`);
  const { type, key } = parseSshPublicKey(
    reader.string('the public key', MAX_KEY_BYTES),
    'its key',
  );
  const privateKey = parsePrivate(reader.string('the private part', MAX_KEY_BYTES), type);
  reader.finish();
  if (createPublicKey(privateKey).equals(key)) return privateKey;
  throw new Error('its private part is of another key than its public one');
}

function parsePrivate(bytes: Uint8Array, type: SshKeyType): KeyObject {
  const reader = new SshReader(bytes, 'the private part');
  if (reader.uint32('its check') !== reader.uint32('its check'))
    throw reader.malformed('its two checks differ');
  const own = reader.text('its type', 64);
  if (!isSshKeyType(own) || own !== type) throw reader.malformed('it is of another kind');
  const key = createPrivateKey({ key: readJwk(reader, own), format: 'jwk' });
  reader.string('its comment', MAX_KEY_BYTES);
  return key;
}

/** What follows is padding. */
function readJwk(reader: SshReader, type: SshKeyType): Record<string, string> {
  if (type === 'ssh-ed25519') {
    const x = reader.string('its public key', 32);
    const d = reader.string('its key', 64).subarray(0, 32);
    return { kty: 'OKP', crv: 'Ed25519', x: base64Url(x), d: base64Url(d) };
  }
  if (type === 'ssh-rsa') return readRsa(reader);
  const { crv, bytes } = ecCurves[type];
  reader.string('its curve', 16);
  const point = reader.string('its point', 1 + 2 * bytes);
  const d = reader.positive('its number', bytes);
  const padded = Buffer.concat([Buffer.alloc(bytes - d.length), d]);
  return {
    kty: 'EC',
    crv,
    x: base64Url(point.subarray(1, 1 + bytes)),
    y: base64Url(point.subarray(1 + bytes)),
    d: base64Url(padded),
  };
}

function readRsa(reader: SshReader): Record<string, string> {
  const [n, e, d, qi, p, q] = ['n', 'e', 'd', 'iqmp', 'p', 'q'].map((name) =>
    reader.positive(name, MAX_NUMBER_BYTES),
  );
  if (n === undefined || e === undefined || d === undefined) throw reader.malformed('cut short');
  if (qi === undefined || p === undefined || q === undefined) throw reader.malformed('cut short');
  const members = { n, e, d, qi, p, q, dp: reduced(d, p), dq: reduced(d, q) };
  const texts = Object.entries(members).map(([name, value]) => [name, base64Url(value)]);
  return { kty: 'RSA', ...Object.fromEntries(texts) };
}

/** d mod (p - 1), of the length of p. */
function reduced(d: Buffer, p: Buffer): Buffer {
  const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`);
  const hex = (number(d) % (number(p) - 1n)).toString(16);
  return Buffer.from(hex.padStart(2 * p.length, '0'), 'hex');
}

function base64Url(bytes: Buffer): string {
  return bytes.toString('base64url');
}
