import { expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { makeCertificate, testNow } from '../../test/fakes/test-certificates.ts';
import { createAgentDebugService, createDebugService } from './debug-service.ts';

const clock = new FakeClock();
const counts = {
  clock,
  startedAt: clock.now() - 61_500,
  agents: { count: () => 2 },
  foreignBundles: { current: () => new Map([['b.test', 1]]) },
  entries: { count: () => 7 },
};

it('says how long a server runs, what it presents and how much it knows', async () => {
  const leaf = await makeCertificate({ uris: ['spiffe://a.test/spire/server'] });
  const issuer = await makeCertificate({ isCa: true, uris: [], subject: 'O=upstream' });
  const call = await serveForTest(
    createDebugService({ ...counts, svidChain: () => [leaf.der, issuer.der] }),
  );
  const expires_at = String((testNow + 3_600_000) / 1_000);
  expect(await call('GetInfo')).toEqual({
    svid_chain: [
      {
        id: { trust_domain: 'a.test', path: '/spire/server' },
        expires_at,
        subject: expect.stringContaining('leaf'),
      },
      { expires_at, subject: expect.stringContaining('upstream') },
    ],
    uptime: 61,
    agents_count: 2,
    federated_bundles_count: 1,
    entries_count: 7,
  });
});

it('says that nothing is presented where no agents are served', async () => {
  const call = await serveForTest(createDebugService({ ...counts, svidChain: () => [] }));
  expect(await call('GetInfo')).toMatchObject({ svid_chain: [], uptime: 61 });
});

it('says what an agent keeps, and since when', async () => {
  const leaf = await makeCertificate({ uris: ['spiffe://a.test/spire/agent/x/y'] });
  const { startedAt } = counts;
  const svids = () => ({ x509: 3, jwt: 2 });
  const common = { clock, startedAt, svids };
  const joined = await serveForTest(
    createAgentDebugService({ ...common, svidChain: () => [leaf.der], syncedAt: () => 5_000 }),
  );
  expect(await joined('GetInfo')).toMatchObject({
    svid_chain: [{ id: { trust_domain: 'a.test', path: '/spire/agent/x/y' } }],
    uptime: 61,
    svids_count: 3,
    last_sync_success: '5',
    cached_x509_svids_count: 3,
    cached_jwt_svids_count: 2,
  });
  const alone = await serveForTest(
    createAgentDebugService({ ...common, svidChain: () => [], syncedAt: () => undefined }),
  );
  expect(await alone('GetInfo')).toMatchObject({ svid_chain: [], last_sync_success: '0' });
});
