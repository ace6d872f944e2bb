import { readFileSync } from 'node:fs';
import type { Authenticator } from '@nats-io/transport-node';
import { TrustplaneError } from '../spiffe/index.ts';
import { clientLibrary } from './client-library.ts';
import type { NatsLogin } from './nats-options.ts';

const MAX_BYTES = 65_536;

/**
 * Answers the challenge of a nats-server with what its file holds at that moment. A file that cannot
 * be used any more is passed over for what it held last: an error there would end the connection for
 * good. `onFault` is told.
 * @throws TrustplaneError ERR_NATS_LOGIN when it cannot be used now; the message holds none of it
 */
export function createLogin(
  login: NatsLogin,
  onFault: (error: TrustplaneError) => void,
): Authenticator {
  if (login === 'certificate') return clientLibrary().tokenAuthenticator(login);
  const isSeed = 'nkeySeedFile' in login;
  const file = isSeed ? login.nkeySeedFile : login.credentialsFile;
  const authenticatorOf = isSeed ? fromSeed : clientLibrary().credsAuthenticator;
  let last = read(file, authenticatorOf);
  return (nonce) => {
    try {
      last = read(file, authenticatorOf);
    } catch (error) {
      if (error instanceof TrustplaneError) onFault(error);
    }
    return last(nonce);
  };
}

function fromSeed(text: Uint8Array): Authenticator {
  const seed = Buffer.from(Buffer.from(text).toString('latin1').trim(), 'latin1');
  const { nkeys, nkeyAuthenticator } = clientLibrary();
  nkeys.fromSeed(seed);
  return nkeyAuthenticator(seed);
}

function read(file: string, authenticatorOf: (bytes: Uint8Array) => Authenticator): Authenticator {
  try {
    const bytes = readFileSync(file);
    if (bytes.length > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    const authenticator = authenticatorOf(bytes);
    // Signs once, so that what is malformed is found here.
    authenticator('nonce');
    return authenticator;
  } catch (error) {
    const why = isSystemError(error) ? error.code : 'it is malformed';
    throw new TrustplaneError('ERR_NATS_LOGIN', `${file} cannot be used to log in: ${why}`);
  }
}

/** The library's own errors may say what they stumbled over, which is a part of a secret. */
function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
