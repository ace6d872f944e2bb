import { describe, expect, it } from 'vitest';
import { buildAuthz } from './authz-config.ts';
import { type AuthzFile, authzSchema } from './authz-schema.ts';

const usual = { socket: '/run/authz.sock', policies: '/etc/policies' };
const built = (more: object) =>
  buildAuthz(authzSchema.parse({ ...usual, ...more }) satisfies AuthzFile);
const faults = (more: object) =>
  authzSchema.safeParse({ ...usual, ...more }).error?.issues.map(({ message }) => message);

describe('who callers are taken for', () => {
  it('is their certificate alone, unless the file says more', () => {
    const { jwtSvid, xfcc, assertion } = built({}) ?? {};
    expect([jwtSvid, xfcc, assertion]).toEqual([undefined, undefined, undefined]);
  });

  it('has defaults where a section is empty', () => {
    expect(built({ jwtSvid: {}, assertion: {} })).toMatchObject({
      jwtSvid: { header: 'authorization', audiences: 'destination' },
      assertion: { ttlSeconds: 60 },
    });
  });

  it('goes to another thread as it is', () => {
    const proxies = ['spiffe://a.test/gw', 'spiffe://a.test/edge/*'];
    const more = {
      jwtSvid: { header: 'x-svid', audiences: ['a', 'b'], peers: proxies },
      xfcc: { trustedHops: 2, proxies },
      assertion: { issuer: 'https://x', ttlSeconds: 5, keyFile: '/keys' },
    };
    expect(structuredClone(built(more))).toMatchObject(more);
  });

  it('is not told by a header that is logged', () => {
    const logged = { decisionLog: { file: '/log', headers: ['x-svid'] } };
    expect(built({ ...logged, jwtSvid: {} })?.decisionLog?.headers).toEqual(['x-svid']);
    expect(() => built({ ...logged, jwtSvid: { header: 'x-svid' } })).toThrow('never logged');
  });

  it.each([
    [{ xfcc: { trustedHops: 1 } }],
    [{ xfcc: { trustedHops: 0, proxies: ['spiffe://a.test/gw'] } }],
    [{ xfcc: { trustedHops: 1, proxies: [] } }],
    [{ xfcc: { trustedHops: 1, proxies: ['gw'] } }],
    [{ xfcc: { trustedHops: 1, proxies: ['spiffe://*/gw'] } }],
    [{ xfcc: { trustedHops: 1, proxies: ['spiffe://a.test/{x}'] } }],
    [{ jwtSvid: { header: 'Authorization' } }],
    [{ jwtSvid: { audiences: [] } }],
    [{ assertion: { ttlSeconds: 4 } }],
    [{ assertion: { keyFile: 'keys' } }],
    [{ assertion: { keys: 1 } }],
  ])('refuses %j', (more) => {
    expect(faults(more)).toHaveLength(1);
  });
});
