import { createJoinTokenAttestation, type NodeAttestation } from '../../attest/index.ts';
import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';

const MAX_TOKEN_BYTES = 1_024;

/** The agent's side, with a token that stands in a file, which is read at each attestation. */
export function openTokenFileAttestation(path: string): NodeAttestation {
  return {
    name: createJoinTokenAttestation('').name,
    begin: async () => await createJoinTokenAttestation(await loadToken(path)).begin(),
  };
}

async function loadToken(path: string): Promise<string> {
  const bytes = await readFileBounded(path, MAX_TOKEN_BYTES);
  const token = Buffer.from(bytes ?? [])
    .toString('utf8')
    .trim();
  if (token !== '') return token;
  const why = bytes === undefined ? 'does not exist' : 'is empty';
  throw new TrustplaneError('ERR_NODE_ATTEST_IDENTITY', `the join token file ${path} ${why}`);
}
