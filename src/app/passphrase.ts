import path from 'node:path';
import { type Environment, readFileBounded } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** Where a passphrase comes from; never a flag. */
export type PassphraseSource =
  | { readonly file: string }
  | { readonly credential: string }
  | { readonly variable: string };

const LEAST_BYTES = 12;
const MOST_BYTES = 1_024;

/** @throws TrustplaneError ERR_CONFIG when it names none, or several */
export function buildPassphraseSource(
  said:
    | {
        readonly file?: string | undefined;
        readonly credential?: string | undefined;
        readonly variable?: string | undefined;
      }
    | undefined,
): PassphraseSource | undefined {
  if (said === undefined) return undefined;
  const { file, credential, variable } = said;
  const sources: PassphraseSource[] = [];
  if (file !== undefined) sources.push({ file });
  if (credential !== undefined) sources.push({ credential });
  if (variable !== undefined) sources.push({ variable });
  const [source, ...others] = sources;
  if (source !== undefined && others.length === 0) return source;
  throw new TrustplaneError(
    'ERR_CONFIG',
    `server.ca.sealPassphrase: expected one of file, credential and variable; got ${sources.length}`,
  );
}

/** @throws TrustplaneError ERR_KEY_PASSPHRASE, ERR_FILE_* */
export async function readPassphrase(
  source: PassphraseSource | undefined,
  env: Environment,
): Promise<Uint8Array | undefined> {
  if (source === undefined) return undefined;
  if ('variable' in source) {
    return checked(Buffer.from(env[source.variable] ?? ''), `variable ${source.variable}`);
  }
  const file = 'file' in source ? source.file : credentialFile(source.credential, env);
  const bytes = await readFileBounded(file, MOST_BYTES + 2);
  if (bytes === undefined) throw unusable(`the file ${file} does not exist`);
  return checked(Buffer.from(bytes), `file ${file}`);
}

function credentialFile(name: string, env: Environment): string {
  const folder = env['CREDENTIALS_DIRECTORY'];
  if (folder !== undefined && path.isAbsolute(folder)) return path.join(folder, name);
  throw unusable(`there is no systemd credential ${name}: CREDENTIALS_DIRECTORY is not set`);
}

/** Without the line end that editors add. */
function checked(bytes: Buffer, where: string): Uint8Array {
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length;
  const passphrase = bytes.subarray(0, end);
  if (passphrase.length >= LEAST_BYTES && passphrase.length <= MOST_BYTES) return passphrase;
  throw unusable(
    `the ${where} holds ${passphrase.length} bytes; expected ${LEAST_BYTES} to ${MOST_BYTES}`,
  );
}

function unusable(why: string): TrustplaneError {
  return new TrustplaneError('ERR_KEY_PASSPHRASE', `no passphrase for the keys: ${why}`);
}
