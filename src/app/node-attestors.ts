import { randomBytes } from 'node:crypto';
import type { JoinTokens } from '../agents/index.ts';
import {
  createJoinTokenAttestor,
  createLastKeyAttestor,
  type NodeAttestor,
} from '../attest/index.ts';
import type { Config } from './config.ts';
import { optionNames } from './config-options.ts';
import type { AttestorContext } from './node-attestors/attestor-context.ts';
import { openAwsIidAttestor } from './node-attestors/aws-iid.ts';
import { openAzureMsiAttestor } from './node-attestors/azure-msi.ts';
import { openGcpIitAttestor } from './node-attestors/gcp-iit.ts';
import { openHttpChallengeAttestor } from './node-attestors/http-challenge.ts';
import { openK8sPsatAttestor } from './node-attestors/k8s-psat.ts';
import { openSshPopAttestor } from './node-attestors/sshpop.ts';
import { openX509PopAttestor } from './node-attestors/x509pop.ts';
import type { NodeAttestorsFile } from './node-attestors-schema.ts';
import type { Process } from './process.ts';

type MaybeAttestor = NodeAttestor | undefined;

/** All there are: undefined where nothing is said of it. Each reads the files that its settings name. */
const attestors: Readonly<
  Record<
    keyof NodeAttestorsFile,
    (file: NodeAttestorsFile, context: AttestorContext) => MaybeAttestor | Promise<MaybeAttestor>
  >
> = {
  awsIid: ({ awsIid }, context) => awsIid && openAwsIidAttestor(awsIid, context),
  azureMsi: ({ azureMsi }, context) => azureMsi && openAzureMsiAttestor(azureMsi, context),
  gcpIit: ({ gcpIit }, context) => gcpIit && openGcpIitAttestor(gcpIit, context),
  sshpop: ({ sshpop }, context) => sshpop && openSshPopAttestor(sshpop, context),
  httpChallenge: ({ httpChallenge }) => httpChallenge && openHttpChallengeAttestor(httpChallenge),
  k8sPsat: ({ k8sPsat }, context) => k8sPsat && openK8sPsatAttestor(k8sPsat, context),
  x509pop: ({ x509pop }, context) => x509pop && openX509PopAttestor(x509pop, context),
};

/**
 * The ways for nodes to join that are configured, each read again at each reload; with a token, or back
 * with their last key, they always may.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openNodeAttestors(
  config: Pick<Config, 'trustDomain' | 'nodeAttestors'>,
  { clock, log, reloader }: Pick<Process, 'clock' | 'log' | 'reloader'>,
  tokens: Pick<JoinTokens, 'spend'>,
): Promise<() => readonly NodeAttestor[]> {
  const { trustDomain } = config;
  const context = { trustDomain, clock, log };
  const always = [
    createJoinTokenAttestor(tokens),
    createLastKeyAttestor({ trustDomain, randomBytes }),
  ];
  const configured = new Map<string, NodeAttestor>();
  let current: readonly NodeAttestor[] = always;
  for (const [name, open] of Object.entries(attestors)) {
    const load = async (file: NodeAttestorsFile): Promise<void> => {
      const attestor = await open(file, context);
      if (attestor === undefined) configured.delete(name);
      else configured.set(name, attestor);
      current = [...always, ...configured.values()];
    };
    await load(config.nodeAttestors);
    reloader.add(
      () => optionsOf(name),
      async (next) => await load(next.nodeAttestors),
    );
  }
  return () => current;
}

function optionsOf(name: string): readonly string[] {
  return optionNames().filter((option) => option.startsWith(`server.nodeAttestors.${name}.`));
}
