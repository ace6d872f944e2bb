import type { PolicyAuthor, PolicyCheck, PolicyVersion } from '../policies/index.ts';
import { type PolicyTaker, quote, TrustplaneError } from '../spiffe/index.ts';
import type { ServedAgent, ServerSummary } from './join-takers.ts';

export interface WireVersion {
  readonly [field: string]: unknown;
}

/** A count on the wire; 64-bit integers are decimal text. @throws TrustplaneError ERR_API_REQUEST */
export function parseVersionNumber(field: string, text: string = '0'): number {
  if (/^[0-9]{1,10}$/u.test(text)) return Number(text);
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `${field}: expected the number of a version; got ${quote(text)}`,
  );
}

/** trustplane.policy.v1.Version */
export function buildVersion(version: PolicyVersion): WireVersion {
  return {
    version: String(version.version),
    hash: hex(version.hash),
    previous: hex(version.previous),
    created_at: String(version.createdAt),
    author: buildAuthor(version.author),
    claimed_author: version.claimedAuthor,
    reason: version.reason,
    restores: String(version.restores ?? 0),
    ...(version.follows !== undefined && { follows: String(version.follows) }),
    digest: hex(version.digest),
    content_digest: hex(version.contentDigest),
    files: version.files,
    bytes: version.bytes,
    rules: version.rules,
    skipped_tests: version.skippedTests,
  };
}

/** trustplane.policy.v1.Check */
export function buildCheck({ digest, complaints, failedTests, ...counts }: PolicyCheck): object {
  return { ...counts, digest: hex(digest), complaints, failed_tests: failedTests };
}

/** trustplane.policy.v1.Agent */
export function buildTakingAgent(
  { agentId, isConnected, since, takers, serverId }: ServedAgent,
  head: string | undefined,
  versionOf: (hash: string) => number | undefined,
): object {
  return {
    id: agentId,
    connected: isConnected,
    since: String(since),
    server_id: serverId,
    takers: takers.map((taker) => ({
      name: taker.name,
      state: `STATE_${stateOf(taker, head)}`,
      version: String(versionOf(taker.hash ?? '') ?? 0),
      digest: hex(taker.digest ?? ''),
      since: String(taker.since ?? 0),
      fault: taker.fault ?? '',
    })),
  };
}

/** trustplane.policy.v1.Server */
export function buildServerSummary(server: ServerSummary): object {
  return {
    id: server.serverId,
    live: server.isLive,
    current: server.isCurrent,
    connected: server.connected,
    away: server.away,
    in_force: server.inForce,
    unnamed_behind: server.unnamedBehind,
  };
}

function stateOf({ hash, refused }: PolicyTaker, head: string | undefined): string {
  if (head === undefined) return 'UNSPECIFIED';
  if (hash === head) return 'IN_FORCE';
  return refused === head ? 'REFUSED' : 'BEHIND';
}

function buildAuthor(author: PolicyAuthor): object {
  if (author.kind === 'svid') return { spiffe_id: author.id };
  return { user: { uid: author.uid, name: author.name ?? '' } };
}

function hex(text: string): Uint8Array {
  return Buffer.from(text, 'hex');
}
