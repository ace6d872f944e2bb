import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { agentKey, encodeAgentRecord } from '../../src/agents/agent-record.ts';
import { encodeJoinToken, joinTokenKey } from '../../src/agents/join-token-record.ts';
import { parseEntry } from '../../src/entries/entry.ts';
import { encodeEntryRecord, entryKey } from '../../src/entries/entry-record.ts';
import { systemClock } from '../../src/ops/index.ts';
import { encodeRevocation, revocationKey } from '../../src/revocations/revocation-record.ts';
import { encodeSuspension, suspensionKey } from '../../src/revocations/suspension-record.ts';
import { parseSelector, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import { type BucketName, openSqliteStore } from '../../src/store/index.ts';

const trustDomain = TrustDomain.parse('example.org');
const WRITES_AT_ONCE = 2_000;

type Fact = readonly [key: string, value: Uint8Array];
type MakeFact = (name: string, past: number) => Fact;

const facts = {
  revocations: ['revocations', revocation],
  suspensions: ['revocations', liftedSuspension],
  tokens: ['tokens', token],
  agents: ['agents', agent],
  entries: ['entries', entry],
} as const satisfies Record<string, readonly [BucketName, MakeFact]>;

/** Fills the store of a server that was never started with what expired `past`, in milliseconds since the epoch. */
export async function fillWithExpired(
  dataDir: string,
  past: number,
  counts: Readonly<Record<keyof typeof facts, number>>,
): Promise<void> {
  mkdirSync(dataDir, { mode: 0o700 });
  const file = path.join(dataDir, 'trustplane.db');
  const store = await openSqliteStore({ path: file, trustDomain, clock: systemClock });
  for (const kind of ['revocations', 'suspensions', 'tokens', 'agents', 'entries'] as const) {
    const [name, make] = facts[kind];
    const bucket = store.bucket(name);
    for (let begin = 0; begin < counts[kind]; begin += WRITES_AT_ONCE) {
      const length = Math.min(WRITES_AT_ONCE, counts[kind] - begin);
      const some = Array.from({ length }, (_, index) => make(`old-${begin + index}`, past));
      await Promise.all(some.map(([key, value]) => bucket.put(key, value)));
    }
  }
  await store.close();
}

function revocation(name: string, past: number): Fact {
  const subject = { kind: 'spiffe-id', value: `spiffe://example.org/${name}` } as const;
  const value = { ...subject, issuedBefore: past, expiresAt: past, reason: 'long ago' };
  return [revocationKey(subject), encodeRevocation(value)];
}

function liftedSuspension(name: string, past: number): Fact {
  const subject = { kind: 'spiffe-id', value: `spiffe://example.org/${name}` } as const;
  const said = { at: past, reason: 'long ago', by: 'uid 0' };
  const fact = { ...subject, ...said, since: past, lifted: said };
  return [suspensionKey(subject), encodeSuspension(fact)];
}

function token(name: string, past: number): Fact {
  const value = encodeJoinToken({ expiresAt: past, agentId: undefined, isSpent: false });
  return [joinTokenKey(name), value];
}

function agent(name: string, past: number): Fact {
  const id = SpiffeId.parse(`spiffe://example.org/spire/agent/join_token/${name}`);
  const keyDigest = Buffer.alloc(32).toString('base64url');
  const value = encodeAgentRecord({
    id,
    attestationType: 'join_token',
    selectors: [],
    svid: { serialNumber: '01', expiresAt: past, keyDigest },
    renewedSvid: undefined,
    banned: false,
    canReattest: false,
    agentVersion: '',
    attestedAt: past,
  });
  return [agentKey(id), value];
}

function entry(name: string, past: number): Fact {
  const made = parseEntry(
    {
      spiffeId: `spiffe://example.org/${name}`,
      parentId: 'spiffe://example.org/node',
      selectors: [parseSelector(`unix:user:${name}`)],
      expiresAtSeconds: Math.floor(past / 1_000) + 1,
    },
    { id: name, createdAt: past, revisionNumber: 0 },
    { trustDomain, now: past },
  );
  return [entryKey(made), encodeEntryRecord({ entry: made, firstRevision: undefined })];
}
