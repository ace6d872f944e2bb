import { randomBytes } from 'node:crypto';
import {
  createJoinTokenAttestation,
  createX509PopAttestation,
  loadX509PopIdentity,
  type NodeAttestation,
} from '../attest/index.ts';
import { readFileBounded } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import type { NodeAttestationConfig } from './agent-config.ts';

const MAX_TOKEN_BYTES = 1_024;

/** How this node proves what it is; undefined when it cannot. Files are read at each attestation. */
export function openNodeAttestation(
  config: NodeAttestationConfig | undefined,
): NodeAttestation | undefined {
  if (config === undefined) return undefined;
  if (config.kind === 'join-token') return createJoinTokenAttestation(config.token);
  if (config.kind === 'join-token-file') {
    return {
      name: createJoinTokenAttestation('').name,
      begin: async () => await createJoinTokenAttestation(await loadToken(config.path)).begin(),
    };
  }
  const { certificateFile, privateKeyFile, intermediatesFile } = config;
  const files = {
    certificatePath: certificateFile,
    privateKeyPath: privateKeyFile,
    ...(intermediatesFile !== undefined && { intermediatesPath: intermediatesFile }),
  };
  return createX509PopAttestation({ loadIdentity: () => loadX509PopIdentity(files), randomBytes });
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
