import { onTestFinished } from 'vitest';
import { type AgentAttestation, AgentRegistry, JoinTokens } from '../../src/agents/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { parseSelector, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import { type Bucket, createMemoryStore, type Store } from '../../src/store/index.ts';
import { FakeClock } from './fake-clock.ts';

export const agentTrustDomain: TrustDomain = TrustDomain.parse('a.test');
export const HOUR_MS = 3_600_000;
export const GRACE_MS: number = 30 * 24 * HOUR_MS;

/** `spiffe://a.test/spire/agent/x509pop/<name>`. */
export const agentId = (name: string): SpiffeId =>
  SpiffeId.parse(`spiffe://a.test/spire/agent/x509pop/${name}`);

/** What an attestor found out about the node `name`. */
export function attestationOf(
  name: string,
  differences: Partial<AgentAttestation> = {},
): AgentAttestation {
  return {
    id: agentId(name),
    attestationType: 'x509pop',
    selectors: [parseSelector(`x509pop:subject:cn:${name}`)],
    canReattest: true,
    publicKey: Buffer.from(`key of ${name}`),
    ...differences,
  };
}

interface Place {
  readonly clock?: FakeClock;
  readonly store?: Store;
  readonly bucket?: Bucket;
  readonly isSoleWriter?: boolean;
}

/** A registry over a memory store, closed when the test ends. Several may share a store and a clock. */
export async function openAgents(place: Place = {}) {
  const clock = place.clock ?? new FakeClock();
  const store = place.store ?? createMemoryStore({ clock });
  const bucket = place.bucket ?? store.bucket('agents');
  const common = { bucket, trustDomain: agentTrustDomain, clock, log: silentLog };
  const { isSoleWriter = false } = place;
  const options = { ...common, graceMs: GRACE_MS, isSoleWriter };
  const agents = await AgentRegistry.load({ ...options, metrics: createMetrics() });
  onTestFinished(() => agents.close());
  let serial = 0x10;
  /** An SVID of one hour with the next serial number. */
  const issue = () => ({ serialNumber: (++serial).toString(16), expiresAt: clock.now() + HOUR_MS });
  const names = () =>
    agents
      .list({}, { pageSize: 0, pageToken: '' })
      .items.map(({ id }) => id.path.split('/').at(-1));
  return { clock, store, bucket, agents, issue, names };
}

/** Tokens over a memory store, closed when the test ends. */
export function openTokens(place: Place = {}) {
  const clock = place.clock ?? new FakeClock();
  const store = place.store ?? createMemoryStore({ clock });
  const bucket = place.bucket ?? store.bucket('tokens');
  let made = 0;
  const tokens = JoinTokens.create({
    bucket,
    trustDomain: agentTrustDomain,
    clock,
    randomBytes: (size) => new Uint8Array(size).fill(++made),
    log: silentLog,
    metrics: createMetrics(),
  });
  onTestFinished(() => tokens.close());
  return { clock, store, bucket, tokens };
}
