import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';

/** The token in a file, without white space around it. `what` it is called, such as `the join token file`. @throws TrustplaneError ERR_NODE_ATTEST_IDENTITY, ERR_FILE_* */
export async function loadToken(path: string, maxBytes: number, what: string): Promise<string> {
  const bytes = await readFileBounded(path, maxBytes);
  const token = Buffer.from(bytes ?? [])
    .toString('utf8')
    .trim();
  if (token !== '') return token;
  const why = bytes === undefined ? 'does not exist' : 'is empty';
  throw new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', `${what} ${path} ${why}`);
}
