import { TrustplaneError } from '../../../spiffe/index.ts';
import type { NodeAttestation } from '../node-attestor.ts';
import { encodePsatPayload } from './psat-payload.ts';

/** The agent's side. `loadToken` is asked at each attestation: the kubelet renews it. */
export function createK8sPsatAttestation(options: {
  readonly cluster: string;
  readonly loadToken: () => Promise<string>;
}): NodeAttestation {
  const { cluster, loadToken } = options;
  return {
    name: 'k8s_psat',
    async begin() {
      return {
        payload: encodePsatPayload({ cluster, token: await loadToken() }),
        async answer() {
          const message = 'who shows a token is asked nothing more; the server sent a challenge';
          throw new TrustplaneError('ERR_NODE_ATTEST_CHALLENGE', message);
        },
      };
    },
  };
}
