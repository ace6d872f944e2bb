import { expect, it } from 'vitest';
import type { PolicyServerView, PolicyStatusView, PolicyVersionView } from '../client/index.ts';
import { awaitPolicies } from './policy-wait.ts';

const version: PolicyVersionView = {
  version: 2,
  hash: 'a',
  previous: 'b',
  createdAt: '2026-01-01T00:00:00.000Z',
  author: { uid: 0, name: 'root' },
  claimedAuthor: null,
  reason: 'r',
  restores: null,
  follows: null,
  digest: 'd',
  contentDigest: 'c',
  files: 1,
  bytes: 1,
  rules: 1,
  skippedTests: false,
};

function agent(id: string, server: string, state: string, connected = true) {
  const taker = { name: 'authz', state, version: 1, digest: null, since: null, fault: 'too new' };
  return { id, connected, since: version.createdAt, server, takers: [taker] };
}

function server(more: Partial<PolicyServerView>): PolicyServerView {
  const counts = { connected: 1, away: 0, inForce: 0, unnamedBehind: 0 };
  return { id: 'two', live: true, current: true, ...counts, ...more };
}

function status(
  servers: readonly PolicyServerView[],
  ...agents: PolicyStatusView['agents']
): PolicyStatusView {
  return { version, fault: null, server: 'one', agents, servers };
}

async function wait(...states: readonly PolicyStatusView[]) {
  let told = 0;
  async function* tell(): AsyncGenerator<PolicyStatusView> {
    for (const state of states) {
      told += 1;
      yield state;
    }
  }
  const { inForce, away } = await awaitPolicies({ status: tell }, version, 60_000);
  return { inForce, away, told };
}

const own = agent('a', 'one', 'in-force');

it('waits for the agents of all servers, and counts each host once', async () => {
  const waited = await wait(
    status([server({ current: false })], own),
    status([server({ unnamedBehind: 1 })], own),
    status([server({})], own, agent('b', 'two', 'behind')),
    status([server({ inForce: 3 })], own, agent('b', 'two', 'in-force')),
    status([], own),
  );
  expect(waited).toEqual({ inForce: 4, away: [], told: 4 });
});

it('does not wait for a server that is gone, and names its agents', async () => {
  const gone = server({ live: false, current: false, unnamedBehind: 9 });
  const waited = await wait(status([gone], own, agent('b', 'two', 'behind', false)));
  expect(waited).toEqual({ inForce: 1, away: ['b'], told: 1 });
});

it('ends when an agent of another server refused it', async () => {
  const refused = status([server({})], own, agent('b', 'two', 'refused'));
  await expect(wait(refused)).rejects.toMatchObject({
    code: 'ERR_POLICY_REFUSED',
    message: 'b (authz) refused it: too new',
  });
});
