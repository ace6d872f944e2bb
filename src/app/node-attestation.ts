import { createJoinTokenAttestation, type NodeAttestation } from '../attest/index.ts';
import type { NodeAttestationConfig } from './agent-config.ts';
import { openAwsIidAttestation } from './node-attestors/aws-iid.ts';
import { openAzureMsiAttestation } from './node-attestors/azure-msi.ts';
import { openGcpIitAttestation } from './node-attestors/gcp-iit.ts';
import { openHttpChallengeAttestation } from './node-attestors/http-challenge.ts';
import { openTokenFileAttestation } from './node-attestors/join-token.ts';
import { openK8sPsatAttestation } from './node-attestors/k8s-psat.ts';
import { openSshPopAttestation } from './node-attestors/sshpop.ts';
import { openX509PopAttestation } from './node-attestors/x509pop.ts';
import type { NodeAttestationSettings } from './node-attestors-schema.ts';

type Kind = keyof NodeAttestationSettings;

/** All there are. */
const attestations: {
  readonly [K in Kind]: (settings: NodeAttestationSettings[K]) => NodeAttestation;
} = {
  awsIid: openAwsIidAttestation,
  azureMsi: openAzureMsiAttestation,
  gcpIit: openGcpIitAttestation,
  joinToken: createJoinTokenAttestation,
  joinTokenFile: openTokenFileAttestation,
  sshpop: openSshPopAttestation,
  httpChallenge: openHttpChallengeAttestation,
  k8sPsat: openK8sPsatAttestation,
  x509pop: openX509PopAttestation,
};

/** How this node proves what it is; undefined when it cannot. Files are read at each attestation. */
export function openNodeAttestation(
  config: NodeAttestationConfig | undefined,
): NodeAttestation | undefined {
  return config === undefined ? undefined : openOne(config);
}

function openOne<K extends Kind>({ kind, settings }: NodeAttestationConfig<K>): NodeAttestation {
  return attestations[kind](settings);
}
