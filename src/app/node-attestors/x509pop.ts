import { randomBytes } from 'node:crypto';
import {
  createX509PopAttestation,
  createX509PopAttestor,
  loadX509PopIdentity,
  type NodeAttestation,
  type NodeAttestor,
} from '../../attest/index.ts';
import { readFileBounded } from '../../ops/index.ts';
import { decodePem, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import type { X509PopAgentFile, X509PopServerFile } from './x509pop-schema.ts';

const MAX_CA_BUNDLE_BYTES = 1_048_576;

/**
 * The server's side.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openX509PopAttestor(
  { caBundle, agentPathTemplate }: X509PopServerFile,
  context: AttestorContext,
): Promise<NodeAttestor> {
  const authorities = await loadAuthorities(caBundle);
  const template = agentPathTemplate === undefined ? {} : { agentPathTemplate };
  return createX509PopAttestor({ ...context, authorities, randomBytes, ...template });
}

/** The agent's side; files are read at each attestation. */
export function openX509PopAttestation(file: X509PopAgentFile): NodeAttestation {
  const { certificateFile, privateKeyFile, intermediatesFile } = file;
  const files = {
    certificatePath: certificateFile,
    privateKeyPath: privateKeyFile,
    ...(intermediatesFile !== undefined && { intermediatesPath: intermediatesFile }),
  };
  return createX509PopAttestation({ loadIdentity: () => loadX509PopIdentity(files), randomBytes });
}

async function loadAuthorities(file: string): Promise<readonly Uint8Array[]> {
  const bytes = await readFileBounded(file, MAX_CA_BUNDLE_BYTES);
  if (bytes === undefined) throw unusable(file, 'there is no such file');
  try {
    return decodePem('CERTIFICATE', Buffer.from(bytes).toString('latin1'));
  } catch (error) {
    throw unusable(file, messageOf(error), error);
  }
}

function unusable(file: string, why: string, cause?: unknown): TrustplaneError {
  const message = `the CA bundle ${file} for x509pop cannot be used: ${why}`;
  return new TrustplaneError('ERR_NODE_ATTEST_AUTHORITIES', message, { cause });
}
