import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  checkOthers,
  type Evidence,
  fingerprintOf,
  type PolicyReport,
} from '../../src/servers/index.ts';
import { aboutServer, parseServer, serverKey } from '../../src/servers/server-record.ts';
import { ServerView } from '../../src/servers/server-view.ts';
import { decodeLease } from '../../src/store/index.ts';
import { encodeLease } from '../../src/store/lease-record.ts';
import { FakeClock } from '../fakes/fake-clock.ts';

const certificate = Uint8Array.of(1);
const authority = fingerprintOf(certificate);
const fingerprint = fc.constantFrom(authority, 'B'.repeat(22));
const text = fc.string({ maxLength: 40 });
const behind = fc.record({ who: text, why: text });
const evidence: fc.Arbitrary<Evidence> = fc.record({
  known: fc.array(fingerprint, { maxLength: 3 }),
  behind: fc.array(
    fc.record({
      authority: fingerprint,
      count: fc.integer({ min: 1, max: 9 }),
      some: fc.array(behind, { maxLength: 3 }),
    }),
    { maxLength: 3 },
  ),
  laggards: fc.array(behind, { maxLength: 2 }),
  readers: fc.array(text, { maxLength: 2 }),
});
const maybe = fc.option(text, { nil: undefined });
const policies: fc.Arbitrary<PolicyReport> = fc.record({
  version: maybe,
  connected: fc.nat(),
  behind: fc.nat(),
  away: fc.nat(),
  inForce: fc.nat(),
  agents: fc.array(
    fc.record({
      agentId: text,
      isConnected: fc.boolean(),
      since: fc.nat(),
      takers: fc.array(
        fc.record({
          name: text,
          hash: maybe,
          digest: maybe,
          since: fc.option(fc.nat(), { nil: undefined }),
          fault: maybe,
          refused: maybe,
        }),
        { maxLength: 2 },
      ),
    }),
    { maxLength: 2 },
  ),
});
const about = fc.record({
  startedAt: fc.nat(),
  version: text,
  address: fc.option(text, { nil: undefined }),
  place: fc.option(text, { nil: undefined }),
  signsWith: fc.option(text, { nil: undefined }),
  evidence: fc.option(evidence, { nil: undefined }),
  policies: fc.option(policies, { nil: undefined }),
});

/** The same with a byte changed, left out or put in. */
function damaged(value: Uint8Array, at: number, byte: number, kind: number): Uint8Array {
  const bytes = [...value];
  const index = at % Math.max(1, bytes.length);
  bytes.splice(index, kind === 2 ? 0 : 1, ...(kind === 1 ? [] : [byte]));
  return Uint8Array.from(bytes);
}

describe('what servers write of themselves', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(about, fc.nat(), (said, renewedAt) => {
        const lease = { holder: 'life', ttlMs: 15_000, renewedAt, about: aboutServer(said) };
        const record = parseServer(serverKey('one'), decodeLease(encodeLease(lease)));
        expect(record).toEqual({ serverId: 'one', incarnation: 'life', renewedAt, ...said });
      }),
    );
  });

  it('never stops a server that reads it, nor opens a gate that it does not name', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 60 }),
          fc
            .tuple(about, fc.nat(), fc.nat(255), fc.nat(2))
            .map(([said, at, byte, kind]) =>
              damaged(
                encodeLease({ holder: 'l', ttlMs: 15_000, renewedAt: 1, about: aboutServer(said) }),
                at,
                byte,
                kind,
              ),
            ),
        ),
        (value) => {
          const clock = new FakeClock();
          const view = new ServerView({ serverId: 'me', clock, onChange: () => {} });
          view.onSnapshot({ records: [{ key: serverKey('one'), value, revision: 1 }] });
          const [server] = view.servers;
          const { isOpen } = checkOthers(
            view.servers,
            { certificate, publishedAt: 0 },
            { now: 0, holdMs: 0 },
          );
          expect(isOpen).toBe(server?.record?.evidence?.known.includes(authority) === true);
          view.close();
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
