import { describe, expect, it } from 'vitest';
import { decideWith, policyOf, requestOf, WEB } from '../../test/fakes/test-policies.ts';

describe('headers for the upstream (AUTHZ-10)', () => {
  const mapped = policyOf([
    {
      from: ['spiffe://prod.example/ns/{n}/sa/*'],
      allow: ['/x'],
      map: { 'x-user': 'ns-{n}', 'x-id': 'source.id' },
    },
    { allow: ['/y'], when: { jwt: { issuer: 'i' } }, map: { 'x-groups': 'jwt.groups' } },
  ]);

  it('are written, and every other owned one and spelling is removed', () => {
    const { headers, removedHeaders } = decideWith(mapped, requestOf('GET /x'));
    expect(Object.fromEntries(headers)).toEqual({ 'x-user': 'ns-shop', 'x-id': WEB });
    expect(removedHeaders).toEqual(['x-groups', 'x_groups', 'x_id', 'x_user']);
  });

  it('have names of which every spelling can be removed', () => {
    const map = (name: string) => () => policyOf([{ allow: ['/x'], map: { [name]: 'source.id' } }]);
    const seven = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].join('-');
    const { removedHeaders } = decideWith(map(seven)(), requestOf('GET /x'));
    expect(removedHeaders).toHaveLength(63);
    expect(removedHeaders).toContain('a_b-c_d-e-f-g');
    expect(map(`${seven}-h`)).toThrow(/over 7 parts/u);
  });

  it.each([
    [['a', 'b'], 'a,b'],
    ['caf\u00e9 %', 'caf%C3%A9 %25'],
    [undefined, undefined],
    [7, undefined],
  ])('are made of the claim %j: %s', (groups, value) => {
    const decision = decideWith(mapped, requestOf('GET /y', { claims: { iss: 'i', groups } }));
    expect([decision.isAllowed, decision.headers.get('x-groups')]).toEqual([true, value]);
  });

  it.each(['a\r\nx: y', 'a,b', ['a,b'], '', ' a', '\ud800'])(
    'are never made of the claim %j',
    (groups) => {
      const decision = decideWith(mapped, requestOf('GET /y', { claims: { iss: 'i', groups } }));
      expect(decision.reason).toBe('mapping_conflict');
    },
  );
});
