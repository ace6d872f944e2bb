import { describe, expect, it } from 'vitest';
import { createCaGround, startCa } from '../../test/fakes/ca-world.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { writeCrlEntries } from '../ca/crl-writer.ts';
import { silentLog } from '../ops/index.ts';
import { type Crl, emptyBundle, parseCrl, TrustDomain } from '../spiffe/index.ts';
import { AgentCrls } from './agent-crls.ts';

const HOUR_MS = 3_600_000;
const revoked = writeCrlEntries([
  { serialNumber: '77', revokedAt: 1_000, reason: 'privilegeWithdrawn' },
]);

/** An agent that is told of CRLs by the test. */
async function openAgent() {
  const clock = new FakeClock();
  const world = await startCa(createCaGround(clock));
  const [issuer] = world.ca.crlIssuers();
  const own = world.trustMap.current().own;
  await world.close();
  const again = await startCa(world);
  let list: readonly Crl[] = [];
  let tell = (): void => {};
  const warnings: object[] = [];
  const crls = new AgentCrls(
    {
      list: () => list,
      watch: (listener) => {
        tell = listener;
        return () => {
          tell = () => {};
        };
      },
    },
    { clock, log: { ...silentLog, warn: (fields) => void warnings.push(fields) } },
  );
  let changes = 0;
  crls.watch(() => {
    changes++;
  });
  return {
    clock,
    own,
    crls,
    warnings,
    changes: () => changes,
    tell(...next: readonly Crl[]) {
      list = next;
      tell();
    },
    async sign(fields: Partial<Parameters<typeof again.ca.signCrl>[1]> = {}) {
      const now = clock.now();
      const usual = { number: 1n, thisUpdate: now - HOUR_MS, nextUpdate: now + 10 * HOUR_MS };
      const der = await again.ca.signCrl(issuer?.authorityId ?? '', {
        ...usual,
        revoked,
        ...fields,
      });
      return parseCrl(der);
    },
    async close() {
      crls.close();
      await again.close();
    },
  };
}

describe('the CRLs an agent gives', () => {
  it('are the same list until they change, the newest of each authority (WLAPI-7)', async () => {
    const agent = await openAgent();
    const { crls, own } = agent;
    expect(crls.current(own)).toEqual([]);
    const [first, second] = [await agent.sign(), await agent.sign({ number: 2n })];
    agent.tell(second, first);
    expect(agent.changes()).toBe(1);
    const given = crls.current(own);
    expect(given).toEqual([second.der]);
    agent.tell(second);
    expect(crls.current(own)).toBe(given);
    expect(agent.changes()).toBe(1);
    await agent.close();
  });

  it('go before one of them ends, and come when it begins (SDS-19)', async () => {
    const agent = await openAgent();
    const { crls, own, clock } = agent;
    crls.current(own);
    agent.tell(await agent.sign({ thisUpdate: clock.now() + HOUR_MS }));
    expect(crls.current(own)).toEqual([]);
    expect(agent.warnings).toHaveLength(1);
    clock.advance(HOUR_MS);
    expect(agent.changes()).toBe(1);
    expect(crls.current(own)).toHaveLength(1);
    clock.advance(8 * HOUR_MS - 1);
    expect(crls.current(own)).toHaveLength(1);
    clock.advance(1);
    expect(crls.current(own)).toEqual([]);
    expect(agent.changes()).toBe(2);
    expect(agent.warnings).toHaveLength(2);
    await agent.close();
    expect(clock.timers).toBe(0);
  });

  it('are none where nothing is revoked, or the bundle is of others', async () => {
    const agent = await openAgent();
    const { crls, own } = agent;
    agent.tell(await agent.sign({ revoked: new Uint8Array() }));
    expect(crls.current(own)).toEqual([]);
    agent.tell(await agent.sign({ number: 2n }));
    expect(crls.current(own)).toHaveLength(1);
    expect(crls.current(emptyBundle(TrustDomain.parse('a.test')))).toEqual([]);
    expect(agent.warnings).toEqual([]);
    await agent.close();
  });
});
