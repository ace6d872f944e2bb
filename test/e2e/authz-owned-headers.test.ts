import { randomBytes } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertionJwks, makeAssertionKey } from '../../src/check/assertion-key-set.ts';
import { AssertionSigner } from '../../src/check/assertion-signer.ts';
import { systemClock } from '../../src/ops/index.ts';
import type { TestCertificate } from '../fakes/test-certificates.ts';
import { policyOf, WEB } from '../fakes/test-policies.ts';
import { type AuthzGround, openAuthzGround, SERVICE } from '../programs/authz-ground.ts';

const key = makeAssertionKey(0, randomBytes);
const issuer = 'spiffe://prod.example';
/** Every way to say them, in lines of their own, joined, and in another case. */
const spoofed = [
  'x-user=root',
  'X-USER=root',
  'x-User=root,admin',
  'x-user=',
  'x_user=root',
  'X_User=root',
  'x-user-id=root',
  'x-user_id=root',
  'x_user-id=root',
  'x_user_id=root',
  'x-assertion=root',
  'X-Assertion=root',
  'x_assertion=root',
  'x-kept=one',
  'x-kept=two',
].flatMap((line) => line.split('='));

let ground: AuthzGround;
let web: TestCertificate;
beforeAll(async () => {
  const assertions = new AssertionSigner({
    issuer,
    ttlSeconds: 60,
    clock: systemClock,
    randomBytes,
  });
  assertions.use(key);
  ground = await openAuthzGround({
    listeners: [
      { name: 'raw', xfcc: 'SANITIZE' },
      { name: 'joined', xfcc: 'SANITIZE', rawHeaders: false },
    ],
    assertions,
  });
  web = await ground.issue({ uris: [WEB] });
  ground.policies = [
    policyOf([
      {
        allow: ['GET /mapped'],
        map: { 'x-user': 'web', 'x-user-id': 'source.id', 'x-assertion': 'assertion' },
      },
      { allow: ['GET /plain'] },
      { from: 'anyone', allow: ['GET /open'], map: { 'x-assertion': 'assertion' } },
    ]),
  ];
});
afterAll(async () => await ground.close());

/** What the application sees of the headers that are owned, names in lower case. */
async function owned(listener: string, path: string, isAnonymous = false) {
  const certificate = isAnonymous ? undefined : web;
  const answer = await ground.ask({ listener, certificate, path, headers: spoofed });
  expect(answer.status).toBe(200);
  const seen = answer.seen ?? [];
  const lines = seen.flatMap((name, at) =>
    at % 2 === 0 ? [[name.toLowerCase(), seen[at + 1] ?? ''] as const] : [],
  );
  expect(lines.filter(([name]) => name === 'x-kept').flatMap(([, value]) => value)).toEqual([
    'one',
    'two',
  ]);
  expect(JSON.stringify(lines)).not.toContain('root');
  const found = lines.filter(([name]) => /^x[-_](?:user|assertion)/u.test(name));
  return { lines: found, headers: answer.headers };
}

describe.each(['raw', 'joined'])('headers that rules write, told %s', (listener) => {
  it('are written once, whatever the caller sent (AUTHZ-10, AUTHZ-11)', async () => {
    const { lines, headers } = await owned(listener, '/mapped');
    const { 'x-assertion': token, ...others } = Object.fromEntries(lines);
    expect(lines).toHaveLength(3);
    expect(others).toEqual({ 'x-user': 'web', 'x-user-id': WEB });
    const jwks = createLocalJWKSet(JSON.parse(assertionJwks([key])));
    const { payload } = await jwtVerify(token ?? '', jwks, {
      issuer,
      audience: SERVICE,
      typ: 'assertion+jwt',
    });
    expect(payload).toMatchObject({ sub: WEB, headers: { 'x-user': 'web', 'x-user-id': WEB } });
    // What the application answers is its own, and the caller is not told what it was told.
    expect(headers).toMatchObject({ 'x-user': 'of the application' });
    expect(JSON.stringify(headers)).not.toContain('eyJ');
  });

  it('are removed where the rule that allows writes none (AUTHZ-10)', async () => {
    expect((await owned(listener, '/plain')).lines).toEqual([]);
  });

  it('assert nothing of nobody (AUTHZ-10)', async () => {
    expect((await owned(listener, '/open', true)).lines).toEqual([]);
    expect((await owned(listener, '/open')).lines).toHaveLength(1);
  });
});
