import { randomBytes } from 'node:crypto';
import {
  createSshPopAttestation,
  createSshPopAttestor,
  loadSshHostIdentity,
  type NodeAttestation,
  type NodeAttestor,
} from '../../attest/index.ts';
import { readFileBounded } from '../../ops/index.ts';
import { TrustplaneError } from '../../spiffe/index.ts';
import type { AttestorContext } from './attestor-context.ts';
import type { SshPopAgentFile, SshPopServerFile } from './sshpop-schema.ts';

const MAX_AUTHORITIES_BYTES = 1_048_576;
const DEFAULT_KEY_FILE = '/etc/ssh/ssh_host_ed25519_key';

/** The server's side. @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_* */
export async function openSshPopAttestor(
  { authoritiesFile, ...settings }: SshPopServerFile,
  { trustDomain, clock }: AttestorContext,
): Promise<NodeAttestor> {
  const bytes = await readFileBounded(authoritiesFile, MAX_AUTHORITIES_BYTES);
  if (bytes === undefined) {
    const message = `the authorities for sshpop cannot be used: there is no file ${authoritiesFile}`;
    throw new TrustplaneError('ERR_NODE_ATTEST_AUTHORITIES', message);
  }
  const authorities = Buffer.from(bytes).toString('utf8');
  return createSshPopAttestor({ ...settings, trustDomain, authorities, clock, randomBytes });
}

/** The agent's side; files are read at each attestation. */
export function openSshPopAttestation(file: SshPopAgentFile): NodeAttestation {
  const { hostKeyFile = DEFAULT_KEY_FILE } = file;
  const { hostCertificateFile = `${hostKeyFile}-cert.pub` } = file;
  const files = { certificatePath: hostCertificateFile, privateKeyPath: hostKeyFile };
  return createSshPopAttestation({ loadIdentity: () => loadSshHostIdentity(files), randomBytes });
}
