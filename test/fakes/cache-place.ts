import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { openSealedCache, type SealedCache } from '../../src/node/sealed-cache.ts';
import type { KeptSvid } from '../../src/node/sealed-records.ts';
import { createLog, createMetrics, systemClock } from '../../src/ops/index.ts';
import {
  type AgentFacts,
  buildCsr,
  generateP256KeyPair,
  type RegistrationEntry,
  type Revocation,
  SpiffeId,
  TrustDomain,
} from '../../src/spiffe/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { fakeEntry } from './fake-entitlements.ts';
import { FakeSvidIssuer } from './fake-svid-issuer.ts';

/** A data directory and a key file beside it, and what the caches in it log. */
export interface CachePlace {
  readonly dataDir: string;
  readonly keyFile: string;
  readonly lines: string[];
  open(options?: {
    readonly credentialsFolder?: string;
    readonly keyFile?: string;
    readonly trustDomain?: TrustDomain;
  }): Promise<SealedCache>;
  remove(): Promise<void>;
}

export function createCachePlace(): CachePlace {
  const folder = createRunFolder();
  const dataDir = path.join(folder.path, 'data');
  const keyFile = path.join(folder.path, 'keys', 'agent-cache.key');
  mkdirSync(dataDir, { mode: 0o700 });
  const lines: string[] = [];
  const log = createLog({ level: 'info', destination: { write: (line) => lines.push(line) } });
  return {
    dataDir,
    keyFile,
    lines,
    open: (options = {}) =>
      openSealedCache({
        trustDomain: options.trustDomain ?? TrustDomain.parse('a.test'),
        dataDir,
        keyFile: options.keyFile ?? keyFile,
        credentialsFolder: options.credentialsFolder,
        clock: systemClock,
        log,
        metrics: createMetrics(),
        random: randomBytes,
      }),
    remove: () => folder.remove(),
  };
}

const issuer = new FakeSvidIssuer(systemClock, TrustDomain.parse('a.test'), (id) =>
  fakeEntry(id, { spiffeId: SpiffeId.parse(`spiffe://a.test/spire/agent/${id}`) }),
);

/** An agent's own SVID. */
export async function fakeIdentity(name: string) {
  const keys = generateP256KeyPair();
  const agentId = SpiffeId.parse(`spiffe://a.test/spire/agent/${name}`);
  const csr = buildCsr({ ...keys, spiffeId: agentId });
  const [grant] = await issuer.issue([{ entryId: name, csr }]);
  if (grant === undefined || 'error' in grant) throw new Error('no grant');
  const { certificateChain, expiresAt } = grant;
  const issuedAt = systemClock.now();
  const { privateKey } = keys;
  return { agentId, certificateChain, privateKey, issuedAt, expiresAt, canReattest: false };
}

/** Facts with these entries, as a server would have told them. */
export function fakeFacts(
  entries: readonly RegistrationEntry[],
  revocations: readonly Revocation[] = [],
): AgentFacts {
  const whole = entries.map((entry) => ({ ...entry, createdAt: 1_000 * entry.createdAt }));
  return {
    entries: new Map(whole.map((entry) => [entry.id, entry])),
    trust: { own: issuer.bundle(), federated: new Map(), terms: new Map() },
    revocations,
  };
}

export function fakeKeptSvid(entryId: string): KeptSvid {
  return {
    entryId,
    certificateChain: [Uint8Array.from(randomBytes(600))],
    privateKey: Uint8Array.from(randomBytes(138)),
    issuedAt: systemClock.now(),
    expiresAt: systemClock.now() + 3_600_000,
    profile: `of ${entryId}`,
  };
}
