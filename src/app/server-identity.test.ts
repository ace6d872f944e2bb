import { expect, it, onTestFinished } from 'vitest';
import { startCa, testTrustDomain } from '../../test/fakes/ca-world.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { silentLog } from '../ops/index.ts';
import { parseX509Svid, TrustplaneError, verifyX509Svid } from '../spiffe/index.ts';
import { openServerIdentity } from './server-identity.ts';

async function open() {
  const { ca, clock, trustMap: trust, close } = await startCa();
  onTestFinished(close);
  let failure: TrustplaneError | undefined;
  let issued = 0;
  const identity = await openServerIdentity({
    trustDomain: testTrustDomain,
    ca: {
      async issueX509Svid(request) {
        issued++;
        if (failure !== undefined) throw failure;
        return await ca.issueX509Svid(request);
      },
    },
    trust,
    clock,
    log: silentLog,
  });
  onTestFinished(() => identity.close());
  const verify = () => {
    const svid = parseX509Svid(identity.current().certificateChain);
    verifyX509Svid(svid, trust.current().own, clock.now());
    return svid;
  };
  const fail = (now: boolean) => {
    failure = now ? new TrustplaneError('ERR_CA_EXPIRED', 'expired') : undefined;
  };
  return { ca, clock, identity, verify, fail, issued: () => issued };
}

it('is the server, with a new key from half of its life on', async () => {
  const { clock, identity, verify } = await open();
  const first = identity.current();
  expect(verify().spiffeId.toString()).toBe('spiffe://a.test/spire/server');
  await clock.advanceAsync(29 * 60_000);
  expect(identity.current()).toBe(first);
  await clock.advanceAsync(60_000);
  const second = identity.current();
  expect(second.privateKey).not.toEqual(first.privateKey);
  verify();
});

it('stays what it is while it cannot be renewed, as long as that is valid', async () => {
  const { clock, identity, fail } = await open();
  const first = identity.current();
  fail(true);
  await clock.advanceAsync(59 * 60_000);
  expect(identity.current()).toBe(first);
  fail(false);
  await clock.advanceAsync(1_000);
  expect(identity.current()).not.toBe(first);
  fail(true);
  await clock.advanceAsync(3_600_000);
  expect(() => identity.current()).toThrow(expect.objectContaining({ code: 'ERR_CA_EXPIRED' }));
  fail(false);
  await clock.advanceAsync(1_000);
  expect(() => identity.current()).not.toThrow();
});

it('is renewed when it is asked for after the clock jumped, and after it was set back', async () => {
  const { clock, identity, verify } = await open();
  clock.jump(clock.now() + 2 * 3_600_000);
  expect(() => identity.current()).toThrow(expect.objectContaining({ code: 'ERR_CA_EXPIRED' }));
  await settle();
  verify();
  const present = identity.current();
  clock.jump(clock.now() - 60_000);
  expect(identity.current()).toBe(present);
  await settle();
  expect(identity.current()).not.toBe(present);
});

it('is renewed when its authority is tainted, at once, and not when another one is', async () => {
  const { ca, clock, identity, verify, issued } = await open();
  const tainted = identity.current();
  const [former] = ca.status().authorities;
  const next = await ca.prepare();
  await ca.activate(next.authorityId);
  await clock.advanceAsync(1_000);
  expect(identity.current()).toBe(tainted);
  await ca.taint(former?.authorityId ?? '');
  await settle();
  expect(identity.current()).not.toBe(tainted);
  verify();
  await ca.revoke(former?.authorityId ?? '');
  await clock.advanceAsync(60_000);
  verify();
  expect(issued()).toBe(2);
});

it('asks for one SVID at a time, and for none once it is closed', async () => {
  const { clock, identity, issued } = await open();
  clock.jump(clock.now() + 31 * 60_000);
  for (let count = 0; count < 10; count++) identity.current();
  await settle();
  expect(issued()).toBe(2);
  await identity.close();
  clock.jump(clock.now() + 31 * 60_000);
  identity.current();
  await clock.advanceAsync(3_600_000);
  expect(issued()).toBe(2);
});
