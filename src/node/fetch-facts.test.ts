import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { openFleet } from '../../test/fakes/open-fleet.ts';
import { openTestNode, pathsOf } from '../../test/fakes/open-test-node.ts';
import { bundleOf, makeAuthority } from '../../test/fakes/test-certificates.ts';
import { testDraft, testEntry, testTrustDomain } from '../../test/fakes/test-entries.ts';
import { until } from '../../test/fakes/unix-place.ts';
import { createJoinTokenAttestation } from '../attest/index.ts';
import { type AgentFacts, type Bundle, emptyBundle, TrustplaneError } from '../spiffe/index.ts';
import { buildBundleMessage, buildEntryMessage } from '../sync/index.ts';
import { fetchFacts } from './fetch-facts.ts';
import type { ServerCalls } from './server-link.ts';

const context = { trustDomain: testTrustDomain, clock: new FakeClock() };
const nothing: AgentFacts = {
  entries: new Map(),
  trust: { own: emptyBundle(testTrustDomain), federated: new Map(), terms: new Map() },
  revocations: [],
};
const own: Bundle = bundleOf('a.test', await makeAuthority());
const web = testEntry('web', undefined, {
  federatesWith: ['b.test', 'c.test', 'd.test'],
  revisionNumber: 3,
});

/** A server that answers unary calls from a table and has no streams, as an old one. */
function oldServer(answers: Readonly<Record<string, unknown>>): ServerCalls {
  const refuse = async (): Promise<never> => {
    throw new TrustplaneError('ERR_REMOTE_UNIMPLEMENTED', 'no such method');
  };
  return {
    async call(name, request) {
      const about = 'trust_domain' in request ? ` ${String(request.trust_domain)}` : '';
      const answer = answers[`${name}${about}`];
      if (answer instanceof Error) throw answer;
      // The table is of answers.
      return JSON.parse(JSON.stringify(answer), revive);
    },
    stream: () => ({ send: () => {}, read: refuse, end: () => {}, cancel: () => {} }),
  };
}

const revive = (_key: string, value: { type?: string; data?: number[] }): unknown =>
  value?.type === 'Buffer' ? Buffer.from(value.data ?? []) : value;
const asMessage = (bundle: Bundle): object => {
  const { x509_authorities = [], ...rest } = buildBundleMessage(bundle);
  const authorities = x509_authorities.map(({ asn1, ...more }) => ({
    ...more,
    asn1: Buffer.from(asn1 ?? []),
  }));
  return { ...rest, x509_authorities: authorities };
};
const denied = new TrustplaneError('ERR_REMOTE_PERMISSION', 'no');
const absent = new TrustplaneError('ERR_REMOTE_NOT_FOUND', 'no bundle');

it('asks a server without a sync of entries for all of them, and for each foreign bundle', async () => {
  const foreign = bundleOf('b.test', await makeAuthority({ uris: ['spiffe://b.test'] }));
  const before = bundleOf('d.test', await makeAuthority({ uris: ['spiffe://d.test'] }));
  const server = oldServer({
    'Bundle.GetBundle': asMessage(own),
    'Entry.GetAuthorizedEntries': { entries: [buildEntryMessage(web)] },
    'Bundle.GetFederatedBundle b.test': asMessage(foreign),
    'Bundle.GetFederatedBundle c.test': absent,
    'Bundle.GetFederatedBundle d.test': denied,
  });
  const trust = { own, federated: new Map([['d.test', before]]), terms: new Map() };
  const facts = await fetchFacts(server, { ...nothing, trust }, context);
  expect([...facts.entries.values()]).toEqual([web]);
  expect([...facts.trust.federated.keys()]).toEqual(['b.test', 'd.test']);
  expect(facts.trust.federated.get('d.test')).toBe(before);
  const again = await fetchFacts(server, facts, context);
  expect(again.entries.get('web')).toBe(facts.entries.get('web'));
});

it.each([
  [
    'of another trust domain',
    bundleOf('b.test', await makeAuthority({ uris: ['spiffe://b.test'] })),
  ],
  ['without an authority', emptyBundle(testTrustDomain)],
])('takes no bundle %s for the own one', async (_, bundle) => {
  const server = oldServer({ 'Bundle.GetBundle': asMessage(bundle) });
  await expect(fetchFacts(server, nothing, context)).rejects.toMatchObject({
    code: 'ERR_NODE_ANSWER',
    message: expect.stringContaining('expected the bundle of a.test'),
  });
});

it('takes no bundle of one foreign trust domain for another', async () => {
  const other = bundleOf('c.test', await makeAuthority({ uris: ['spiffe://c.test'] }));
  const entry = testEntry('api', undefined, { federatesWith: ['b.test'] });
  const server = oldServer({
    'Bundle.GetBundle': asMessage(own),
    'Entry.GetAuthorizedEntries': { entries: [buildEntryMessage(entry)] },
    'Bundle.GetFederatedBundle b.test': asMessage(other),
  });
  expect((await fetchFacts(server, nothing, context)).trust.federated.size).toBe(0);
});

it('fetches many entries page by page, and of a change only what changed', async () => {
  const fleet = await openFleet();
  const { token } = await fleet.tokens.create({ ttlSeconds: 60 });
  const parentId = `spiffe://a.test/spire/agent/join_token/${token}`;
  const names = Array.from({ length: 1_100 }, (_, index) => `w${index}`);
  for (const name of names)
    await fleet.entries.create(testDraft(name, undefined, { id: name, parentId }));
  const node = await openTestNode(fleet, { attestation: createJoinTokenAttestation(token) });
  await node.ready;
  expect(pathsOf(node)).toHaveLength(1_100);
  const before = node.facts.facts.entries;
  await fleet.entries.create(testDraft('one-more', undefined, { id: 'one-more', parentId }));
  await until(() => {
    fleet.clock.advance(20);
    return node.facts.facts.entries.size === 1_101;
  });
  for (const [id, entry] of before) expect(node.facts.facts.entries.get(id)).toBe(entry);
});
