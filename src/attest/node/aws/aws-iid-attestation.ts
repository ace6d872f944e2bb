import { refused } from '../cloud/refused.ts';
import type { NodeAttestation } from '../node-attestor.ts';
import { encodeIidPayload } from './iid-payload.ts';
import type { Imds } from './imds.ts';

const FOLDER = 'dynamic/instance-identity';

/** The agent's side, on an EC2 instance. */
export function createAwsIidAttestation(imds: Imds): NodeAttestation {
  return {
    name: 'aws_iid',
    async begin() {
      const document = await imds.read(`${FOLDER}/document`);
      const rsa2048 = await imds.read(`${FOLDER}/rsa2048`);
      return {
        payload: encodeIidPayload({ document, rsa2048 }),
        async answer() {
          const message = 'who joins by aws_iid is asked nothing more; the server sent a challenge';
          throw refused('ERR_NODE_ATTEST_CHALLENGE', message);
        },
      };
    },
  };
}
