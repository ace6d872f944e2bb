import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseResourceName } from '../../src/ecds/resource-name.ts';
import { attempt } from './attempt.ts';

/** The names as one regular language. */
const GRAMMAR =
  /^trustplane\.(?:rbac|rbac-before-check|network-rbac)(?::(?=[^?]{1,2048}(?:\?|$))spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:[/?]|$))[a-zA-Z0-9._-]+)+)?(?:\?policy=[^]{1,1024})?$/;
const words = ['trustplane.', 'rbac', '-before-check', 'network-', ':', 'spiffe://a.test', '/web'];
const pieces = fc.oneof(
  fc.constantFrom('/', '..', '?policy=', '?', '=', '*', 'é', '%41', 'x'.repeat(600), '\0'),
  fc.constantFrom(...words),
);
const begun = fc
  .tuple(
    fc.constantFrom('rbac', 'rbac-before-check', 'network-rbac', 'RBAC'),
    fc.constantFrom('', ':spiffe://a.test/web', ':spiffe://a.test', ':'),
    fc.constantFrom('', '?policy=orders', '?policy=a?policy=b', '?policy=', '?'),
    fc.array(pieces, { maxLength: 3 }),
  )
  .map(([kind, id, policy, rest]) => `trustplane.${kind}${id}${policy}${rest.join('')}`);
const texts = fc.oneof(
  begun,
  fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary' }),
);

describe('names of extension configurations under arbitrary text', () => {
  it('are exactly the regular language, and their parts make the text again', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const name = attempt(() => parseResourceName(text));
        expect(name !== undefined).toBe(GRAMMAR.test(text));
        if (name === undefined) return;
        const id = name.spiffeId === undefined ? '' : `:${name.spiffeId.toString()}`;
        const policy = name.policy === undefined ? '' : `?policy=${name.policy}`;
        expect(`trustplane.${name.kind}${id}${policy}`).toBe(text);
        expect(name.text).toBe(text);
      }),
      { numRuns: 5000 },
    );
  });
});
