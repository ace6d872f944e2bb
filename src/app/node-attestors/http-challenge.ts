import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { hostname } from 'node:os';
import {
  createAskHttp,
  createHttpChallengeAttestation,
  createHttpChallengeAttestor,
  type NodeAttestation,
  type NodeAttestor,
} from '../../attest/index.ts';
import type { HttpChallengeAgentFile, HttpChallengeServerFile } from './http-challenge-schema.ts';

/** Of one address. */
const TIMEOUT_MS = 5_000;

/** The server's side. @throws TrustplaneError ERR_CONFIG */
export function openHttpChallengeAttestor(settings: HttpChallengeServerFile): NodeAttestor {
  return createHttpChallengeAttestor({
    ...settings,
    resolve: async (name) => (await lookup(name, { all: true })).map(({ address }) => address),
    ask: createAskHttp({ timeoutMs: TIMEOUT_MS }),
    randomBytes,
  });
}

/** The agent's side. */
export function openHttpChallengeAttestation(file: HttpChallengeAgentFile): NodeAttestation {
  const { agentName = 'default', bindAddress = { host: '::', port: 0 } } = file;
  return createHttpChallengeAttestation({
    ...file,
    hostname: file.hostname ?? hostname().toLowerCase(),
    agentName,
    bindAddress,
  });
}
