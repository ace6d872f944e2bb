import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createAccountKey } from '../../src/federation/acme/account-key.ts';
import { readProblem } from '../../src/federation/acme/acme-messages.ts';
import { AcmeSession } from '../../src/federation/acme/acme-session.ts';
import type { AcmeResponse, AcmeTransport } from '../../src/federation/acme/acme-transport.ts';
import { orderCertificate } from '../../src/federation/acme/order-certificate.ts';
import {
  type Clock,
  generateP256KeyPair,
  messageOf,
  TrustplaneError,
} from '../../src/spiffe/index.ts';

const key = createAccountKey(generateP256KeyPair().privateKey);
const URL = 'https://acme.test/x';

/** Time passes at once, so that polls end. */
const clock: Clock = {
  now: () => 0,
  setTimer(_delayMs, fire) {
    setImmediate(fire);
    return { cancel() {} };
  },
};

/** Nearly always what is due, so that orders come far. */
const mostly = <T, U>(due: T, other: fc.Arbitrary<U>): fc.Arbitrary<T | U> =>
  fc.oneof({ weight: 40, arbitrary: fc.constant(due) }, { weight: 1, arbitrary: other });

const status = fc.constantFrom(
  'ready',
  'valid',
  'pending',
  'ready',
  'processing',
  'valid',
  'invalid',
  'x',
  7,
);
const url = mostly(URL, fc.constantFrom('http://acme.test/', 'file:///etc/passwd', '', null));
const problem = fc.record({ type: fc.string(), detail: fc.string() }, { requiredKeys: [] });
const challenge = fc.record(
  {
    type: mostly('tls-alpn-01', fc.constant('http-01')),
    url,
    token: mostly('abc', fc.string()),
    status,
    error: problem,
  },
  { requiredKeys: ['type', 'url', 'token', 'status'] },
);
/** Something of every message, so that each answer may fit what was asked for. */
const message = fc.record(
  {
    newNonce: url,
    newAccount: url,
    newOrder: url,
    meta: mostly({}, fc.anything()),
    status,
    authorizations: fc.array(url, { maxLength: 3 }),
    finalize: url,
    certificate: url,
    identifier: fc.record({ type: fc.constant('dns'), value: mostly('a.test', fc.string()) }),
    challenges: fc.array(challenge, { minLength: 1, maxLength: 3 }),
    error: problem,
    type: fc.constantFrom('urn:ietf:params:acme:error:badNonce', 'x'),
    detail: fc.string(),
  },
  { noNullPrototype: true },
);
const body = fc.oneof(
  { weight: 60, arbitrary: message.map((one) => JSON.stringify(one)) },
  { weight: 1, arbitrary: fc.json() },
  { weight: 1, arbitrary: fc.string() },
);
const response: fc.Arbitrary<AcmeResponse> = fc.record({
  status: mostly(200, fc.constantFrom(201, 400, 403, 429, 500, 301)),
  headers: fc.record(
    {
      'replay-nonce': mostly('nonce', fc.string()),
      location: mostly(URL, fc.constantFrom('http://x', '')),
      'retry-after': fc.oneof(fc.nat().map(String), fc.string()),
    },
    { requiredKeys: ['replay-nonce', 'location'] },
  ),
  body,
});

function kindOf(outcome: unknown): string {
  if (outcome instanceof TrustplaneError) return outcome.code.split('_', 2).join('_');
  const isChain = typeof outcome === 'object' && outcome !== null && 'chain' in outcome;
  return isChain ? 'chain' : messageOf(outcome);
}

it('whatever an ACME authority answers, an order ends, in a chain or in an error of its own', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(response, { minLength: 1, maxLength: 12 }), async (responses) => {
      let asked = 0;
      const transport: AcmeTransport = async () => {
        const answer = responses[asked++ % responses.length];
        if (answer === undefined) throw new Error('there is one');
        return answer;
      };
      const order = async (): Promise<unknown> => {
        const session = await AcmeSession.open(transport, {
          directoryUrl: URL,
          key,
          email: undefined,
        });
        const { signal } = new AbortController();
        const prove = async <T>(_name: string, _proof: string, work: () => Promise<T>) =>
          await work();
        return await orderCertificate({ session, domainNames: ['a.test'], prove, clock, signal });
      };
      const outcome: unknown = await order().catch((error: unknown) => error);
      expect(['ERR_ACME', 'chain']).toContain(kindOf(outcome));
    }),
    { numRuns: 300 },
  );
});

it('tells of a refusal on one short line of printable characters', () => {
  fc.assert(
    fc.property(fc.oneof(body, fc.string({ maxLength: 5_000 })), (text) => {
      const { text: told } = readProblem(text);
      expect(told).toMatch(/^[\x20-\x7e]{0,500}$/);
    }),
  );
});
