import { decodeBase64, messageOf, quote } from '../../../spiffe/index.ts';
import { fingerprintOf } from './ssh-certificate.ts';
import { parseSshPublicKey } from './ssh-public-key.ts';

const MAX_KEYS = 256;

/**
 * The fingerprints of the keys of a text in the format of authorized_keys (sshd(8)): a key each line,
 * with its type before and perhaps a comment behind; no options. Empty lines and those that begin with #
 * are skipped.
 * @throws Error, with the line
 */
export function parseAuthorizedKeys(text: string): ReadonlySet<string> {
  const fingerprints = new Set<string>();
  for (const [at, line] of text.split(/\r?\n/u).entries()) {
    const bare = line.trim();
    if (bare === '' || bare.startsWith('#')) continue;
    try {
      fingerprints.add(readKey(bare));
    } catch (error) {
      throw new Error(`line ${at + 1}: ${messageOf(error)}`, { cause: error });
    }
    if (fingerprints.size > MAX_KEYS) throw new Error(`it has over ${MAX_KEYS} keys`);
  }
  if (fingerprints.size === 0) throw new Error('it holds no key');
  return fingerprints;
}

function readKey(line: string): string {
  const [type = '', base64 = ''] = line.split(/[ \t]+/u);
  const bytes = decodeBase64(base64);
  if (bytes === undefined)
    throw new Error(`expected a type and a key in base64; got ${quote(line)}`);
  const key = parseSshPublicKey(bytes, 'the key');
  if (key.type === type) return fingerprintOf(bytes);
  throw new Error(`it is said to be ${quote(type)} and is ${key.type}`);
}
