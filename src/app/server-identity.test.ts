import { expect, it, onTestFinished } from 'vitest';
import { startCa, testTrustDomain } from '../../test/fakes/ca-world.ts';
import { silentLog } from '../ops/index.ts';
import { parseX509Svid, TrustplaneError, verifyX509Svid } from '../spiffe/index.ts';
import { createServerIdentity } from './server-identity.ts';

async function open() {
  const { ca, clock, trustMap, close } = await startCa();
  onTestFinished(close);
  let failure: TrustplaneError | undefined;
  const identity = createServerIdentity({
    trustDomain: testTrustDomain,
    ca: {
      issueX509Svid(request) {
        if (failure !== undefined) throw failure;
        return ca.issueX509Svid(request);
      },
    },
    clock,
    log: silentLog,
  });
  const verify = () => {
    const svid = parseX509Svid(identity().certificateChain);
    verifyX509Svid(svid, trustMap.current().own, clock.now());
    return svid;
  };
  const fail = (now: boolean) => {
    failure = now ? new TrustplaneError('ERR_CA_EXPIRED', 'expired') : undefined;
  };
  return { clock, identity, verify, fail };
}

it('is the server, with a new key from half of its life on', async () => {
  const { clock, identity, verify } = await open();
  const first = identity();
  expect(verify().spiffeId.toString()).toBe('spiffe://a.test/spire/server');
  clock.advance(29 * 60_000);
  expect(identity()).toBe(first);
  clock.advance(60_000);
  const second = identity();
  expect(second.privateKey).not.toEqual(first.privateKey);
  verify();
});

it('stays what it is while it cannot be renewed, as long as that is valid', async () => {
  const { clock, identity, fail } = await open();
  const first = identity();
  fail(true);
  clock.advance(59 * 60_000);
  expect(identity()).toBe(first);
  fail(false);
  clock.advance(1_000);
  expect(identity()).not.toBe(first);
  fail(true);
  clock.advance(3_600_000);
  expect(identity).toThrow(expect.objectContaining({ code: 'ERR_CA_EXPIRED' }));
});
