import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TestCertificate } from '../fakes/test-certificates.ts';
import { policyOf, WEB } from '../fakes/test-policies.ts';
import { type AuthzGround, openAuthzGround } from '../programs/authz-ground.ts';
import type { GroundListener } from '../programs/ground-bootstrap.ts';

const GATEWAY = 'spiffe://prod.example/gateway';
const ROOT = 'spiffe://prod.example/root';
const modes = ['SANITIZE', 'SANITIZE_SET', 'FORWARD_ONLY', 'APPEND_FORWARD'] as const;
/** What a client writes, so as to be somebody else. */
const forged = ['x-forwarded-client-cert', `By=${GATEWAY};Hash=0;URI=${ROOT}`];

/** `gateway-<its mode>-<mode of the one that asks>`, and the ones that ask. */
const listeners: readonly GroundListener[] = modes.flatMap((inner) => [
  { name: `asks-${inner}`, xfcc: inner },
  ...modes.map((outer) => ({ name: `${outer}-${inner}`, xfcc: outer, to: `asks-${inner}` })),
]);
const joined: readonly GroundListener[] = [
  { name: 'asks-joined', xfcc: 'FORWARD_ONLY', rawHeaders: false },
  { name: 'APPEND_FORWARD-joined', xfcc: 'APPEND_FORWARD', to: 'asks-joined' },
];

let ground: AuthzGround;
let web: TestCertificate;
let hops = 1;
const open = async (trustedHops: number): Promise<AuthzGround> =>
  await openAuthzGround({
    listeners: [...listeners, ...joined],
    xfcc: { trustedHops, proxies: [GATEWAY] },
  });

/** Who is taken for the caller of a request that web, or nobody, sends to a gateway with such modes. */
async function callerBehind(
  outer: string,
  inner: string,
  { isForged = false, isAnonymous = false } = {},
): Promise<string | undefined> {
  await ground.ask({
    listener: `${outer}-${inner}`,
    certificate: isAnonymous ? undefined : web,
    headers: isForged ? forged : [],
  });
  const caller = ground.records.at(-1)?.caller?.toString();
  return caller?.replace(WEB, 'web').replace(GATEWAY, 'gateway').replace(ROOT, 'root');
}

async function begin(trustedHops: number): Promise<void> {
  hops = trustedHops;
  ground = await open(trustedHops);
  web = await ground.issue({ uris: [WEB] });
  ground.policies = [policyOf([{ allow: ['GET /x'] }])];
}

describe('the element that the gateway wrote (trustedHops: 1), where the proxy that asks has FORWARD_ONLY', () => {
  beforeAll(async () => await begin(1));
  afterAll(async () => await ground.close());

  it('is the caller, whatever was forged before it (AUTHZ-5)', async () => {
    for (const outer of ['SANITIZE_SET', 'APPEND_FORWARD']) {
      expect(await callerBehind(outer, 'FORWARD_ONLY')).toBe('web');
      expect(await callerBehind(outer, 'FORWARD_ONLY', { isForged: true })).toBe('web');
    }
    expect(ground.records.at(-1)?.decision.reason).toBe('allowed_by_rule');
    expect(ground.records.at(-1)?.proxy?.toString()).toBe(GATEWAY);
    expect(ground.records.at(-1)?.request?.http?.headers('x-forwarded-client-cert')[0]).toMatch(
      /^By=spiffe:\/\/prod\.example\/gateway;Hash=0;URI=spiffe:\/\/prod\.example\/root,By=.*Subject="CN=leaf";URI=spiffe:\/\/prod\.example\/ns\/shop\/sa\/web$/u,
    );
  });

  it('is the same in two lines, and where lines are not told apart', async () => {
    for (const inner of ['FORWARD_ONLY', 'joined']) {
      const headers = [...forged, 'X-Forwarded-Client-Cert', `URI=${ROOT}`];
      await ground.ask({ listener: `APPEND_FORWARD-${inner}`, certificate: web, headers });
      expect(ground.records.at(-1)?.caller?.toString()).toBe(WEB);
    }
  });

  it('is forged where the gateway passes on what it is given: it must not (FORWARD_ONLY)', async () => {
    expect(await callerBehind('FORWARD_ONLY', 'FORWARD_ONLY', { isForged: true })).toBe('root');
    expect(await callerBehind('FORWARD_ONLY', 'FORWARD_ONLY')).toBe('unauthenticated');
  });

  it('is not there, and nobody calls, where the gateway removes it or nobody calls it (AUTHZ-5)', async () => {
    expect(await callerBehind('SANITIZE', 'FORWARD_ONLY', { isForged: true })).toBe(
      'unauthenticated',
    );
    for (const outer of modes) {
      const nobody = { isForged: true, isAnonymous: true };
      expect(await callerBehind(outer, 'FORWARD_ONLY', nobody)).toBe('unauthenticated');
    }
  });

  it('is not heard of where the proxy that asks removes the header: nobody calls', async () => {
    expect(await callerBehind('APPEND_FORWARD', 'SANITIZE')).toBe('unauthenticated');
  });

  it('is that of the proxy that asks where that one writes: the gateway, who is not let in', async () => {
    for (const inner of ['SANITIZE_SET', 'APPEND_FORWARD']) {
      expect(await callerBehind('APPEND_FORWARD', inner, { isForged: true })).toBe('gateway');
    }
  });

  it('is of no interest when somebody else connects (AUTHZ-5)', async () => {
    for (const inner of modes) {
      await ground.ask({ listener: `asks-${inner}`, certificate: web, headers: forged });
      expect(ground.records.at(-1)?.caller?.toString()).toBe(WEB);
      await ground.ask({ listener: `asks-${inner}`, headers: forged });
      expect(ground.records.at(-1)?.caller).toBe('unauthenticated');
    }
  });
});

describe('the element before the last (trustedHops: 2), where the proxy that asks has APPEND_FORWARD', () => {
  beforeAll(async () => await begin(2));
  afterAll(async () => await ground.close());

  it('is the caller, whatever was forged before it (AUTHZ-5)', async () => {
    expect(hops).toBe(2);
    for (const outer of ['SANITIZE_SET', 'APPEND_FORWARD']) {
      expect(await callerBehind(outer, 'APPEND_FORWARD')).toBe('web');
      expect(await callerBehind(outer, 'APPEND_FORWARD', { isForged: true })).toBe('web');
    }
  });

  it('is not there where the gateway has told of nobody', async () => {
    expect(await callerBehind('SANITIZE', 'APPEND_FORWARD', { isForged: true })).toBe('bad_svid');
    const nobody = { isForged: true, isAnonymous: true };
    expect(await callerBehind('APPEND_FORWARD', 'APPEND_FORWARD', nobody)).toBe('bad_svid');
  });
});
