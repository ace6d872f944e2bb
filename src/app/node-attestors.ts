import { randomBytes } from 'node:crypto';
import type { JoinTokens } from '../agents/index.ts';
import {
  createJoinTokenAttestor,
  createLastKeyAttestor,
  createX509PopAttestor,
  type NodeAttestor,
} from '../attest/index.ts';
import { readFileBounded } from '../ops/index.ts';
import { decodePem, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';

const MAX_CA_BUNDLE_BYTES = 1_048_576;

/**
 * The ways for nodes to join that are configured, read again at each reload; with a token, or back with their last key, they always may.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function openNodeAttestors(
  config: Config,
  process: Process,
  tokens: Pick<JoinTokens, 'spend'>,
): Promise<() => readonly NodeAttestor[]> {
  const section = 'server.nodeAttestors.x509pop';
  let current = await loadNodeAttestors(config, process, tokens);
  process.reloader.add([`${section}.caBundle`, `${section}.agentPathTemplate`], async (next) => {
    current = await loadNodeAttestors({ ...config, x509pop: next.x509pop }, process, tokens);
  });
  return () => current;
}

/**
 * The ways for nodes to join that are configured; with a token, or back with their last key, they always may.
 * @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES, ERR_NODE_ATTEST_TEMPLATE, ERR_FILE_READ,
 * ERR_FILE_TOO_LARGE
 */
export async function loadNodeAttestors(
  { trustDomain, x509pop }: Pick<Config, 'trustDomain' | 'x509pop'>,
  { clock, log }: Pick<Process, 'clock' | 'log'>,
  tokens: Pick<JoinTokens, 'spend'>,
): Promise<readonly NodeAttestor[]> {
  const always = [
    createJoinTokenAttestor(tokens),
    createLastKeyAttestor({ trustDomain, randomBytes }),
  ];
  if (x509pop === undefined) return always;
  const { caBundle, agentPathTemplate } = x509pop;
  const authorities = await loadAuthorities(caBundle);
  const template = agentPathTemplate === undefined ? {} : { agentPathTemplate };
  const options = { trustDomain, authorities, clock, randomBytes, log, ...template };
  return [...always, createX509PopAttestor(options)];
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
