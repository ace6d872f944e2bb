import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fetchFacts } from '../../src/node/fetch-facts.ts';
import { acceptIdentity } from '../../src/node/node-identity.ts';
import { createRemoteIssuer } from '../../src/node/remote-issuer.ts';
import type { ServerCalls } from '../../src/node/server-link.ts';
import {
  emptyBundle,
  generateP256KeyPair,
  SpiffeId,
  TrustplaneError,
} from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { testTrustDomain } from '../fakes/test-entries.ts';

const text = fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom('a.test', '/web', '-1', '1e9'));
const octets = fc.uint8Array({ maxLength: 60 });
const numberText = fc.oneof(fc.bigInt().map(String), text);
const maybe = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: undefined });
const svid = fc.option(
  fc.record({ cert_chain: fc.array(octets, { maxLength: 10 }), expires_at: numberText }),
);
const bundle = fc.record({
  trust_domain: text,
  x509_authorities: fc.array(fc.record({ asn1: octets, tainted: fc.boolean() }), { maxLength: 3 }),
  sequence_number: numberText,
  refresh_hint: numberText,
});
const entry = fc.record({
  id: text,
  spiffe_id: maybe(fc.record({ trust_domain: text, path: text })),
  selectors: fc.array(fc.record({ type: text, value: text }), { maxLength: 3 }),
  revision_number: numberText,
  created_at: numberText,
});
const page = fc.record({
  entries: maybe(fc.array(entry, { maxLength: 3 })),
  entry_revisions: maybe(
    fc.array(fc.record({ id: text, revision_number: numberText }), { maxLength: 3 }),
  ),
  more: maybe(fc.boolean()),
});

/** A server that says such things, whatever it is asked. */
function babbler(answers: readonly unknown[], pages: readonly unknown[]): ServerCalls {
  const said = [...answers];
  const told = [...pages];
  // Whatever comes over the wire has the type that its field says, and no more is known of it.
  const next = (from: unknown[]) => JSON.parse(JSON.stringify(from.shift() ?? {}), revive);
  return {
    call: async (_name, _request) => next(said),
    stream: () => ({
      send: () => {},
      read: async () => (told.length === 0 ? undefined : next(told)),
      end: () => {},
      cancel: () => {},
    }),
  };
}

const revive = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && '0' in value && !Array.isArray(value)
    ? Uint8Array.from(Object.values(value).map(Number))
    : value;

/** The code of the refusal, if it was one; what is no refusal is thrown. */
async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

it('what a server says of entries and bundles is taken or refused, never stumbled over', async () => {
  const facts = {
    entries: new Map(),
    trust: { own: emptyBundle(testTrustDomain), federated: new Map(), terms: new Map() },
    revocations: [],
  };
  const context = { trustDomain: testTrustDomain, clock: new FakeClock() };
  await fc.assert(
    fc.asyncProperty(
      fc.array(bundle, { maxLength: 4 }),
      fc.array(page, { maxLength: 4 }),
      async (said, told) => {
        const code = await codeOf(fetchFacts(babbler(said, told), facts, context));
        expect(['ERR_NODE_ANSWER', 'ERR_SYNC_BUNDLE', 'ERR_SYNC_ENTRY']).toContain(code);
      },
    ),
  );
});

it('what a server gives for an SVID is an SVID of this agent or refused', () => {
  const keys = generateP256KeyPair();
  const context = {
    trustDomain: testTrustDomain,
    keys,
    bundle: emptyBundle(testTrustDomain),
    now: 0,
  };
  fc.assert(
    fc.property(svid, (given) => {
      expect(() => acceptIdentity(given, { ...context, canReattest: false })).toThrow(
        expect.objectContaining({ code: 'ERR_NODE_SVID' }),
      );
    }),
  );
});

it('what a server answers a batch with is one result for each request', async () => {
  const result = fc.record({
    status: fc.option(fc.record({ code: fc.integer(), message: text })),
    svid,
  });
  const answer = fc.record({ results: maybe(fc.array(result, { maxLength: 5 })) });
  const requests = ['a', 'b', 'c'].map((entryId) => ({ entryId, csr: new Uint8Array() }));
  await fc.assert(
    fc.asyncProperty(answer, async (said) => {
      const issuer = createRemoteIssuer((work) => work(babbler([said], [])));
      const results = await issuer.issue(requests);
      expect(results).toHaveLength(3);
      for (const each of results)
        expect(each).toMatchObject({ error: expect.any(TrustplaneError) });
    }),
  );
});

it('what a server says is a JWT-SVID is one with a life, or refused', async () => {
  const token = fc.record({ token: text, issued_at: numberText, expires_at: numberText });
  const request = {
    entryId: 'a',
    spiffeId: SpiffeId.parse('spiffe://a.test/web'),
    audience: ['b'],
  };
  await fc.assert(
    fc.asyncProperty(fc.option(token), async (said) => {
      const issuer = createRemoteIssuer((work) => work(babbler([{ svid: said }], [])));
      expect([undefined, 'ERR_NODE_ANSWER']).toContain(await codeOf(issuer.issueJwt(request)));
    }),
  );
});
