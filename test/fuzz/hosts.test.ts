import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDnsPattern } from '../../src/attest/node/http/dns-pattern.ts';
import {
  encodePlace,
  hostnameFault,
  parseChallenge,
  parsePlace,
} from '../../src/attest/node/http/http-challenge-messages.ts';
import { encodePsatPayload, parsePsatPayload } from '../../src/attest/node/k8s/psat-payload.ts';
import { createReviewVerifier } from '../../src/attest/node/k8s/review-verifier.ts';
import { type JsonObject, parseJson, TrustplaneError } from '../../src/spiffe/index.ts';
import { attempt } from './attempt.ts';

const names = fc.constantFrom('hostname', 'agentname', 'port', 'cluster', 'token', 'nonce', 'x');
const likeMessages = fc
  .dictionary(names, fc.oneof(fc.string({ maxLength: 40 }), fc.double(), fc.constant(null)))
  .map((value) => Buffer.from(JSON.stringify(value)));
const wire = fc.oneof(fc.uint8Array({ maxLength: 200 }), likeMessages);

describe('what nodes send', () => {
  it('is read or refused, whatever it is', () => {
    fc.assert(
      fc.property(wire, (bytes) => {
        const place = attempt(() => parsePlace(bytes));
        expect(place === undefined || hostnameFault(place.hostname) === undefined).toBe(true);
        const pod = attempt(() => parsePsatPayload(bytes));
        expect(pod === undefined || /^[\w-]+\.[\w-]+\.[\w-]+$/u.test(pod.token)).toBe(true);
        expect(attempt(() => parseChallenge(bytes)) ?? 'A'.repeat(43)).toMatch(/^[\w-]{43}=?$/u);
      }),
    );
  });

  it('comes back as it was', () => {
    fc.assert(
      fc.property(fc.domain(), fc.integer({ min: 1, max: 65_535 }), (domain, port) => {
        const hostname = domain.toLowerCase();
        fc.pre(hostnameFault(hostname) === undefined);
        const place = { hostname, agentName: 'default', port };
        expect(parsePlace(encodePlace(place))).toEqual(place);
        expect(parseDnsPattern(hostname)(hostname)).toBe(true);
        const pod = { cluster: 'prod', token: 'a.b.c' };
        expect(parsePsatPayload(encodePsatPayload(pod))).toEqual(pod);
      }),
    );
  });
});

it('takes nothing for a pod that an API server did not say so, whatever it says', async () => {
  const members = fc.constantFrom(
    'authenticated',
    'audiences',
    'user',
    'username',
    'extra',
    'error',
    'metadata',
    'spec',
    'status',
    'nodeName',
    'uid',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(true, '', 'a', null, 7, 'system:serviceaccount:a:b'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(members, tie('value')),
    ),
  }));
  const said = fc.dictionary(members, value).map((object): JsonObject => {
    const parsed = parseJson(JSON.stringify(object));
    return parsed instanceof Map ? parsed : new Map();
  });
  await fc.assert(
    fc.asyncProperty(said, said, async (status, object) => {
      const find = async () => object;
      const api = { reviewToken: async () => status, findPod: find, findNode: find };
      const verifier = createReviewVerifier(api, ['a']);
      const pod = { namespace: 'a', serviceAccount: 'b', podName: 'c', podUid: 'd' };
      const unknown = { ...pod, nodeName: undefined, nodeUid: undefined };
      for (const work of [verifier.identify('t'), verifier.describe(unknown)]) {
        const outcome: unknown = await work.catch((error: unknown) => error);
        expect(outcome).toBeInstanceOf(TrustplaneError);
      }
    }),
  );
});
