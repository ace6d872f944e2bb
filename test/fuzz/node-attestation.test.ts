import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { agentKey, decodeAgentRecord, encodeAgentRecord } from '../../src/agents/agent-record.ts';
import { decodeJoinToken } from '../../src/agents/join-token-record.ts';
import { parseAgentPathTemplate } from '../../src/attest/node/agent-path-template.ts';
import {
  encodeCertificates,
  encodeChallenge,
  encodeResponse,
  parseCertificates,
  parseChallenge,
  parseResponse,
  type X509PopResponse,
} from '../../src/attest/node/x509pop-messages.ts';
import { parseSelector, SpiffeId, TrustDomain } from '../../src/spiffe/index.ts';
import { attempt } from './attempt.ts';

const trustDomain = TrustDomain.parse('a.test');
const octets = (minLength: number, maxLength = minLength) =>
  fc.uint8Array({ minLength, maxLength });
const kind = fc.constantFrom('ec' as const, 'rsa' as const);
const challenges = fc.record({ kind, nonce: octets(32) });
const responses: fc.Arbitrary<X509PopResponse> = fc.oneof(
  fc.record({ kind: fc.constant('rsa' as const), nonce: octets(32), signature: octets(1, 1024) }),
  fc.record({
    kind: fc.constant('ec' as const),
    nonce: octets(32),
    r: octets(1, 66),
    s: octets(1, 66),
  }),
);
/** JSON that looks like the messages. */
const likeMessages = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, '', '====', 'AAAA', 0, 1e300, '\ud800'),
    fc.base64String({ maxLength: 80 }),
    fc.array(tie('value'), { maxLength: 8 }),
    fc.dictionary(
      fc.constantFrom(
        'certificates',
        'rsa_signature',
        'ecdsa_signature',
        'nonce',
        'r',
        's',
        '__proto__',
      ),
      tie('value'),
    ),
  ),
})).value;
const wire = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  likeMessages.map((value) => Buffer.from(JSON.stringify(value))),
);

describe('messages of x509pop', () => {
  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(octets(1, 50), { minLength: 1, maxLength: 5 }), (chain) => {
        const parsed = parseCertificates(encodeCertificates(chain), 5);
        expect(parsed.map((der) => [...der])).toEqual(chain.map((der) => [...der]));
      }),
    );
    const plain = (message: object) =>
      Object.fromEntries(
        Object.entries(message).map(([name, value]) => [
          name,
          value instanceof Uint8Array ? [...value] : value,
        ]),
      );
    fc.assert(
      fc.property(challenges, (challenge) => {
        expect(plain(parseChallenge(encodeChallenge(challenge)))).toEqual(plain(challenge));
      }),
    );
    fc.assert(
      fc.property(responses, (response) => {
        expect(plain(parseResponse(encodeResponse(response)))).toEqual(plain(response));
      }),
    );
  });

  it('of any bytes are within bounds or refused with a typed error', () => {
    fc.assert(
      fc.property(wire, (bytes) => {
        const chain = attempt(() => parseCertificates(bytes, 3));
        expect([1, 2, 3]).toContain(chain?.length ?? 1);
        const challenge = attempt(() => parseChallenge(bytes));
        expect(challenge?.nonce.length ?? 32).toBe(32);
        const response = attempt(() => parseResponse(bytes));
        expect(response?.nonce.length ?? 32).toBe(32);
      }),
      { numRuns: 5000 },
    );
  });

  it('that were cut, changed or added to are never another good message of the same bytes', () => {
    fc.assert(
      fc.property(responses, fc.nat(), fc.nat(255), (response, at, octet) => {
        const bytes = Buffer.from(encodeResponse(response));
        const cut = bytes.subarray(0, at % bytes.length);
        expect(attempt(() => parseResponse(cut))).toBeUndefined();
        bytes[at % bytes.length] = octet;
        const changed = attempt(() => parseResponse(bytes));
        expect(changed?.nonce.length ?? 32).toBe(32);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('a template for agent IDs', () => {
  const pieces = fc.constantFrom(
    '/',
    '/x509pop/',
    '{{',
    '}}',
    '.A',
    ' ',
    'A',
    '..',
    'a',
    '{{ .A }}',
  );
  const texts = fc.oneof(
    fc.string(),
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
    fc.array(pieces, { maxLength: 6 }).map((parts) => `/x509pop/{{ .A }}${parts.join('')}`),
  );

  it('makes an ID below its attestor, of one segment per variable, or none', () => {
    fc.assert(
      fc.property(texts, fc.oneof(fc.string(), pieces), (text, value) => {
        const options = {
          attestor: 'x509pop',
          trustDomain,
          isVariable: (name: string) => name === 'A',
        };
        const template = attempt(() => parseAgentPathTemplate(text, options));
        if (template === undefined) return;
        const path = attempt(() => template(() => value));
        if (path === undefined) return;
        expect(path.startsWith('/spire/agent/x509pop/')).toBe(true);
        expect(SpiffeId.of(trustDomain, path).path).toBe(path);
        expect(path.split('/')).toHaveLength(template(() => 'x').split('/').length);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('stored agents and tokens', () => {
  const instant = fc.integer({ min: 0, max: 2 ** 52 });
  const svid = fc.record({
    serialNumber: fc.stringMatching(/^[0-9a-f]{1,40}$/u),
    expiresAt: instant,
    keyDigest: fc.stringMatching(/^[A-Za-z0-9_-]{43}$/u),
  });
  const agents = fc.record({
    id: fc
      .stringMatching(/^(\/[A-Za-z0-9_-]{1,40}){1,8}$/u)
      .map((path) => SpiffeId.of(trustDomain, `/spire/agent${path}`)),
    attestationType: fc.stringMatching(/^[a-z0-9_]{1,20}$/u),
    selectors: fc.array(
      fc.stringMatching(/^[a-z]{1,9}:[ -~]{1,40}$/u).map((text) => parseSelector(text)),
      { maxLength: 20 },
    ),
    svid,
    renewedSvid: fc.option(svid, { nil: undefined }),
    banned: fc.boolean(),
    canReattest: fc.boolean(),
    agentVersion: fc.stringMatching(/^[ -~]{0,40}$/u),
    attestedAt: instant,
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(agents, (agent) => {
        const key = agentKey(agent.id);
        expect(decodeAgentRecord(key, encodeAgentRecord(agent), trustDomain)).toEqual(agent);
      }),
    );
  });

  it('of any bytes are refused, or lose no ban', () => {
    fc.assert(
      fc.property(agents, fc.nat(), fc.nat(255), (agent, at, octet) => {
        const key = agentKey(agent.id);
        const bytes = Buffer.from(encodeAgentRecord({ ...agent, banned: true }));
        bytes[at % bytes.length] = octet;
        const read = attempt(() => decodeAgentRecord(key, bytes, trustDomain));
        expect(read?.banned ?? true).toBe(true);
        expect(
          attempt(() => decodeAgentRecord(key, bytes.subarray(1), trustDomain)),
        ).toBeUndefined();
        expect(attempt(() => decodeJoinToken(key, bytes))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(attempt(() => decodeAgentRecord('key', bytes, trustDomain))).toBeUndefined();
        expect(attempt(() => decodeJoinToken('key', bytes))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });
});
