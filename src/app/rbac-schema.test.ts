import { describe, expect, it } from 'vitest';
import { buildAuthz } from './authz-config.ts';
import { authzSchema } from './authz-schema.ts';

const build = (file: object) => buildAuthz(authzSchema.parse({ policies: '/p', ...file }));

describe('rules for Envoys', () => {
  it('are given wherever there are policies, also where nobody is asked', () => {
    const standard = { ttlMs: undefined, perRuleStats: false };
    expect(build({})?.rbac).toEqual(standard);
    expect(build({ socket: '/s' })?.rbac).toEqual(standard);
    expect(build({ socket: '/s', rbac: { enabled: false } })?.rbac).toBeUndefined();
    expect(build({ rbac: { ttl: '1m', perRuleStats: true } })?.rbac).toEqual({
      ttlMs: 60_000,
      perRuleStats: true,
    });
  });

  it('must be given where nobody is asked', () => {
    expect(() => build({ rbac: { enabled: false } })).toThrow(
      'authz: expected socket, listen or rbac; got none of them',
    );
  });

  it.each([
    [{ ttl: '1s' }, 'expected a duration of 5s to 1d'],
    [{ ttl: '2d' }, 'expected a duration of 5s to 1d'],
    [{ enabled: 'yes' }, 'expected boolean'],
    [{ ttlMs: 5_000 }, 'Unrecognized key'],
  ])('refuses %j', (rbac, message) => {
    expect(() => build({ rbac })).toThrow(message);
  });
});
