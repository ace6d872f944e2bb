import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWith, policyOf, requestOf } from '../../test/fakes/test-policies.ts';

const policy = policyOf([{ allow: ['ANY /**'] }, { deny: [{ hosts: ['admin.example'] }] }]);
const reasonOf = (host: string | undefined) =>
  decideWith(policy, requestOf('GET /x', host === undefined ? {} : { host })).reason;

describe('a host where admin.example is denied', () => {
  it.each([
    'admin.example',
    'ADMIN.Example',
    'admin.example.',
    'admin.example:443',
    'admin.example.:8080',
    'admin.example:',
    'admin.example:0443',
  ])('%s is denied (AUTHZ-6)', (host) => expect(reasonOf(host)).toBe('denied_by_rule'));

  it.each([
    'b.example,admin.example',
    'admin.example,b.example',
    'x@admin.example',
    'admin.example..',
    '.admin.example',
    'admin..example',
    'admin.example:80:80',
    'admin.example:abc',
    'admin%2eexample',
    'admin.example;a',
    'admin.example/x',
    'admin.example?',
    'admin.example#',
    'admin.example\\x',
    'admin.example ',
    ' admin.example',
    'admin.example\t',
    'admin.example\0',
    'adm\u0131n.example',
    '\uff41dmin.example',
    '[::1',
    '::1',
    '[fe80::1%25eth0]',
    '*',
    '.',
    ':80',
  ])('%j is refused (AUTHZ-6)', (host) => expect(reasonOf(host)).toBe('non_canonical_host'));

  it.each([
    undefined,
    'b.example',
    'admin.example.evil',
    'a_b.example',
    '127.0.0.1:80',
    '[::1]:80',
  ])('%s is another', (host) => expect(reasonOf(host)).toBe('allowed_by_rule'));

  it('is allowed in no way in which it stands (AUTHZ-6)', () => {
    const piece = fc.constantFrom('admin.example', 'ADMIN.example', ',', '@', ':', '.', '80', 'x');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
        const host = pieces.join('');
        const names = host.toLowerCase().split(/[,@:]/u);
        const isThere = names.some((name) => name.replace(/\.+$/u, '') === 'admin.example');
        expect(isThere && reasonOf(host) === 'allowed_by_rule').toBe(false);
      }),
      { numRuns: 5_000 },
    );
  });
});
