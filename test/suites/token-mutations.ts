import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { ErrorCode } from '../../src/spiffe/index.ts';
import { hmacOf, makeToken, type TokenOptions } from '../fakes/signed-token.ts';
import type { DocumentMutation } from './node-attestor-mutations.ts';

/** What makes good tokens of a cloud. */
export interface TokenMaker {
  readonly key: () => KeyObject;
  readonly keyId: string;
  readonly claims: () => Record<string, unknown>;
  /** As the node sends it. */
  readonly wrap: (token: string) => Uint8Array;
}

const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** What is wrong with any token; of which cloud does not matter. */
export function tokenMutations(maker: TokenMaker): readonly DocumentMutation<Uint8Array>[] {
  const make = (change: object = {}, options: TokenOptions = {}, key = maker.key()): Uint8Array =>
    maker.wrap(makeToken(key, maker.keyId, { ...maker.claims(), ...change }, options));
  const now = (): number => Number(maker.claims()['iat']);
  const mutation = (
    what: string,
    code: ErrorCode,
    reason: string,
    mutate: () => Uint8Array,
    sameReasonAs?: string,
  ) => ({ what, code, reason, mutate, ...(sameReasonAs !== undefined && { sameReasonAs }) });
  const header = (member: string, value: unknown) => () =>
    make({}, { header: { [member]: value } }, stranger);
  return [
    mutation('another key', 'ERR_NODE_ATTEST_SIGNATURE', 'did not sign', () =>
      make({}, {}, stranger),
    ),
    mutation('alg none', 'ERR_NODE_ATTEST_ALGORITHM', 'got "none"', () =>
      make({}, { header: { alg: 'none' }, signature: () => Buffer.from('x') }),
    ),
    mutation(
      'alg HS256 with the public key for a secret',
      'ERR_NODE_ATTEST_ALGORITHM',
      'got "HS256"',
      () => make({}, { header: { alg: 'HS256' }, signature: hmacOf(publicPem(maker.key())) }),
      'alg none',
    ),
    mutation('no signature', 'ERR_NODE_ATTEST_TOKEN', 'signature is empty', () =>
      make({}, { signature: () => Buffer.alloc(0) }),
    ),
    mutation('a key ID that the issuer lacks', 'ERR_NODE_ATTEST_KEY', 'has no key', () =>
      make({}, { header: { kid: 'unknown' } }),
    ),
    mutation('no key ID', 'ERR_NODE_ATTEST_KEY', 'kid is a text', () =>
      make({}, { header: { kid: undefined } }),
    ),
    mutation(
      'a URL of keys of its own',
      'ERR_NODE_ATTEST_HEADER',
      'jku',
      header('jku', 'https://x'),
    ),
    mutation('a URL of certificates', 'ERR_NODE_ATTEST_HEADER', 'x5u', header('x5u', 'https://x')),
    mutation('a key of its own', 'ERR_NODE_ATTEST_HEADER', 'jwk', header('jwk', { kty: 'RSA' })),
    mutation('a certificate', 'ERR_NODE_ATTEST_HEADER', 'x5c', header('x5c', ['x'])),
    mutation(
      'a header that is critical',
      'ERR_NODE_ATTEST_HEADER',
      'crit',
      header('crit', ['b64']),
    ),
    mutation('another issuer', 'ERR_NODE_ATTEST_ISSUER', 'to be issued by', () =>
      make({ iss: 'https://issuer.evil.example' }),
    ),
    mutation('another audience', 'ERR_NODE_ATTEST_AUDIENCE', 'got "other"', () =>
      make({ aud: 'other' }),
    ),
    mutation('two audiences', 'ERR_NODE_ATTEST_AUDIENCE', 'got 2 audiences', () =>
      make({ aud: [maker.claims()['aud'], 'other'] }),
    ),
    mutation('having expired', 'ERR_NODE_ATTEST_TIME', 'it expired', () =>
      make({ iat: now() - 7200, nbf: now() - 7200, exp: now() - 3600 }),
    ),
    mutation('being of the future', 'ERR_NODE_ATTEST_TIME', 'of the future', () =>
      make({ iat: now() + 3600, exp: now() + 7200 }),
    ),
    mutation('living for a year', 'ERR_NODE_ATTEST_TIME', 'at most', () =>
      make({ exp: now() + 31_536_000 }),
    ),
    mutation('no expiry', 'ERR_NODE_ATTEST_TIME', 'exp is a number', () =>
      make({ exp: undefined }),
    ),
    mutation('an expiry that is text', 'ERR_NODE_ATTEST_TIME', 'got "9999999999"', () =>
      make({ exp: '9999999999' }),
    ),
    mutation('two subjects', 'ERR_NODE_ATTEST_TOKEN', 'duplicate member name', () => {
      const claims = JSON.stringify(maker.claims());
      return make({}, { payload: claims.replace('{', '{"sub":"other",') });
    }),
    mutation(
      'claims that are no object',
      'ERR_NODE_ATTEST_TOKEN',
      'payload is no JSON object',
      () => make({}, { payload: '[]' }),
    ),
    mutation('four parts', 'ERR_NODE_ATTEST_TOKEN', 'has 3 parts; got 4', () =>
      maker.wrap(`${makeToken(maker.key(), maker.keyId, maker.claims())}.e30`),
    ),
    mutation('17,000 characters', 'ERR_NODE_ATTEST_TOKEN', 'characters; at most', () =>
      make({ filler: 'x'.repeat(17_000) }),
    ),
  ];
}

function publicPem(key: KeyObject): string {
  return createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString();
}
