import type { Bootstrap, ServerAddress } from '../node/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { ConfigFile } from './config-schema.ts';
import type { DefaultPaths } from './default-paths.ts';
import type { NodeAttestationFile, NodeAttestationSettings } from './node-attestors-schema.ts';

type Kind = keyof NodeAttestationSettings;

/** How a node proves what it is, as it is configured. */
export type NodeAttestationConfig<K extends Kind = Kind> = {
  [Each in K]: { readonly kind: Each; readonly settings: NodeAttestationSettings[Each] };
}[K];

/** What an agent on its own needs to be a member of the trust domain. */
export interface AgentConfig {
  readonly agentDataDir: string;
  /** Undefined: nothing is kept over a restart. */
  readonly agentCache: { readonly keyFile: string } | undefined;
  /** At least one. */
  readonly servers: readonly ServerAddress[];
  readonly bootstrap: Bootstrap | undefined;
  readonly nodeAttestation: NodeAttestationConfig | undefined;
  /** It is told of the policies of the control plane, also for others on its host. */
  readonly takePolicies: boolean;
}

type AgentFile = NonNullable<ConfigFile['agent']>;

/** @throws TrustplaneError ERR_CONFIG where there is more than one of a kind */
export function buildAgentConfig(
  agent: AgentFile | undefined,
  paths: Pick<DefaultPaths, 'agentDataDir' | 'agentCacheKeyFile'>,
): AgentConfig {
  const { enabled = true, keyFile = paths.agentCacheKeyFile } = agent?.cache ?? {};
  return {
    agentDataDir: agent?.dataDir ?? paths.agentDataDir,
    agentCache: enabled ? { keyFile } : undefined,
    servers: agent?.servers ?? [{ host: '127.0.0.1', port: 8081 }],
    bootstrap: buildBootstrap(agent?.bootstrap ?? {}),
    nodeAttestation: buildAttestation(agent?.nodeAttestation ?? {}),
    takePolicies: agent?.takePolicies ?? false,
  };
}

function buildBootstrap(file: NonNullable<AgentFile['bootstrap']>): Bootstrap | undefined {
  const { bundleFile, bundleUrl, bundleUrlPublicKey, insecure = false } = file;
  if (bundleUrlPublicKey !== undefined && bundleUrl === undefined) {
    throw contradiction('agent.bootstrap.bundleUrlPublicKey says nothing without bundleUrl');
  }
  return onlyOne('agent.bootstrap: bundleFile, bundleUrl and insecure', [
    bundleFile !== undefined && { kind: 'file', path: bundleFile },
    bundleUrl !== undefined && { kind: 'url', url: bundleUrl, publicKeySha256: bundleUrlPublicKey },
    insecure && { kind: 'insecure' },
  ]);
}

function buildAttestation(file: NodeAttestationFile): NodeAttestationConfig | undefined {
  const {
    k8sPsat,
    awsIid,
    azureMsi,
    gcpIit,
    joinToken,
    joinTokenFile,
    sshpop,
    httpChallenge,
    x509pop,
  } = file;
  const given = Object.keys(file).join(', ');
  return onlyOne(`agent.nodeAttestation takes one way: ${given}`, [
    awsIid !== undefined && { kind: 'awsIid', settings: awsIid },
    azureMsi !== undefined && { kind: 'azureMsi', settings: azureMsi },
    gcpIit !== undefined && { kind: 'gcpIit', settings: gcpIit },
    joinToken !== undefined && { kind: 'joinToken', settings: joinToken },
    joinTokenFile !== undefined && { kind: 'joinTokenFile', settings: joinTokenFile },
    sshpop !== undefined && { kind: 'sshpop', settings: sshpop },
    httpChallenge !== undefined && { kind: 'httpChallenge', settings: httpChallenge },
    k8sPsat !== undefined && { kind: 'k8sPsat', settings: k8sPsat },
    x509pop !== undefined && { kind: 'x509pop', settings: x509pop },
  ]);
}

function onlyOne<T extends object>(what: string, given: readonly (T | false)[]): T | undefined {
  const [one, other] = given.filter((each) => each !== false);
  if (other === undefined) return one;
  throw contradiction(`${what} exclude each other`);
}

function contradiction(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', message);
}
