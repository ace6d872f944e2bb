import { createJoinTokenAttestation, type NodeAttestation } from '../../attest/index.ts';
import { loadToken } from './load-token.ts';

const MAX_TOKEN_BYTES = 1_024;

/** The agent's side, with a token that stands in a file, which is read at each attestation. */
export function openTokenFileAttestation(path: string): NodeAttestation {
  return {
    name: createJoinTokenAttestation('').name,
    begin: async () =>
      await createJoinTokenAttestation(
        await loadToken(path, MAX_TOKEN_BYTES, 'the join token file'),
      ).begin(),
  };
}
