import { type SpiffeId, TrustplaneError } from '../../spiffe/index.ts';
import type { NodeAttestation, NodeAttestor } from './node-attestor.ts';

const NAME = 'join_token';
const MAX_PAYLOAD_BYTES = 255;

/** What the attestor needs of the tokens. */
interface Spendable {
  /** Succeeds once for a token. @throws TrustplaneError ERR_JOIN_TOKEN_* */
  spend(token: string): Promise<{ readonly agentId: SpiffeId | undefined }>;
}

/** The payload is the token, whose text becomes part of the agent's ID (as in SPIRE): it is spent then. */
export function createJoinTokenAttestor(tokens: Spendable): NodeAttestor {
  return {
    name: NAME,
    async attest(payload) {
      const token = Buffer.from(payload.subarray(0, MAX_PAYLOAD_BYTES + 1)).toString('latin1');
      const { agentId } = await tokens.spend(token);
      return {
        agentPath: `/spire/agent/${NAME}/${token}`,
        selectors: [],
        canReattest: false,
        alias: agentId,
      };
    },
  };
}

export function createJoinTokenAttestation(token: string): NodeAttestation {
  return {
    name: NAME,
    async begin() {
      return {
        payload: Buffer.from(token),
        async answer() {
          const message =
            'who joins with a token is asked nothing more; the server sent a challenge';
          throw new TrustplaneError('ERR_NODE_ATTEST_CHALLENGE', message);
        },
      };
    },
  };
}
