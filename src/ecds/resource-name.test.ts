import { describe, expect, it } from 'vitest';
import { codeOf } from '../../test/fakes/code-of.ts';
import { parseResourceName } from './resource-name.ts';

describe('parseResourceName', () => {
  it.each([
    ['trustplane.rbac', 'rbac', undefined, undefined],
    ['trustplane.rbac-before-check', 'rbac-before-check', undefined, undefined],
    ['trustplane.network-rbac:spiffe://a.test/db', 'network-rbac', 'spiffe://a.test/db', undefined],
    ['trustplane.rbac?policy=orders', 'rbac', undefined, 'orders'],
    ['trustplane.rbac:spiffe://a.test/w?policy=a?b:c', 'rbac', 'spiffe://a.test/w', 'a?b:c'],
  ])('reads %s', (text, kind, id, policy) => {
    const name = parseResourceName(text);
    expect([name.text, name.kind, name.spiffeId?.toString(), name.policy]).toEqual([
      text,
      kind,
      id,
      policy,
    ]);
  });

  it.each([
    '',
    '*',
    'rbac',
    'trustplane.',
    'trustplane.Rbac',
    'trustplane.rbac:',
    'trustplane.rbac:spiffe://a.test',
    'trustplane.rbac:https://a.test/web',
    'trustplane.rbac:spiffe://a.test/web/',
    'trustplane.rbac?',
    'trustplane.rbac?policy=',
    'trustplane.rbac?other=x',
    `trustplane.rbac?policy=${'x'.repeat(1025)}`,
    ' trustplane.rbac',
  ])('refuses %j', async (text) => {
    expect(await codeOf(async () => parseResourceName(text))).toBe('ERR_ECDS_NAME');
  });
});
