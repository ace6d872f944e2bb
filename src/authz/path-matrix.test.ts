import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decideWith, policyOf, requestOf } from '../../test/fakes/test-policies.ts';
import { lenientPath, pathMatrix } from '../../test/programs/path-matrix.ts';
import { isCanonicalPath } from './canonical-request.ts';

const policy = policyOf([{ allow: ['ANY /**'] }, { deny: ['/admin'] }]);
const reasonOf = (target: string) => decideWith(policy, requestOf(`GET ${target}`)).reason;
const reasons = { denied: 'denied_by_rule', refused: 'non_canonical_path' } as const;

describe('a path where /admin is denied', () => {
  it.each(pathMatrix)('$sent is decided as it comes (AUTHZ-6)', ({ sent, outcomes: { none } }) => {
    // What the proxy refuses by itself is refused here too.
    const expected = none === 400 ? 'refused' : none;
    const reason = expected === 'denied' || expected === 'refused' ? reasons[expected] : undefined;
    expect(reasonOf(sent)).toBe(reason ?? 'allowed_by_rule');
  });

  it('is decided as the proxy has normalized it (AUTHZ-6)', () => {
    const arrived = pathMatrix.flatMap(({ outcomes }) =>
      Object.values(outcomes).filter((outcome) => String(outcome).startsWith('/')),
    );
    expect(arrived.length).toBeGreaterThan(20);
    for (const path of arrived) expect(reasonOf(String(path))).toBe('allowed_by_rule');
  });

  it('is allowed in no way that the most lenient server takes for it (AUTHZ-6)', () => {
    const separators = ['/', '\\', '%2f', '%5C', '.', '%2e', ';', '%00', '%3b', '?', '#', 'x', '%'];
    const spelled = ['admin', '%61dmin', 'a%64min', '%2561dmin', '/admin', '\0', '\u00e9'];
    const piece = fc.constantFrom(...separators, ...spelled);
    const path = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
    fc.assert(
      fc.property(path, (target) => {
        const isAllowed = reasonOf(target) === 'allowed_by_rule';
        expect(isAllowed && lenientPath(target) === '/admin').toBe(false);
        const [bare = ''] = target.split('?');
        expect(!isCanonicalPath(bare, false) || lenientPath(bare) === decodedOnce(bare)).toBe(true);
      }),
      { numRuns: 20_000 },
    );
  });
});

/** A canonical path is taken by each server for what it says. */
function decodedOnce(path: string): string {
  return path.replaceAll(/%([0-9a-f]{2})/giu, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

describe('where paths with parameters are taken', () => {
  const lax = policyOf([{ allow: ['/**'] }, { deny: ['/admin', '/a/*/c'] }], {
    request: { path: { matrixParameters: 'allow' } },
  });
  it.each([
    ['/admin;v=1', 'denied_by_rule'],
    ['/admin;', 'denied_by_rule'],
    ['/a;x/b;y/c;z', 'denied_by_rule'],
    ['/;/admin', 'non_canonical_path'],
    ['/;admin', 'non_canonical_path'],
    ['/x/.;/admin', 'non_canonical_path'],
    ['/administrators;v=1', 'allowed_by_rule'],
  ])('%s: %s (AUTHZ-6)', (path, reason) => {
    expect(decideWith(lax, requestOf(`GET ${path}`)).reason).toBe(reason);
  });

  it('an allow is of the path as it is', () => {
    const allows = policyOf([{ allow: ['/a'] }], {
      request: { path: { matrixParameters: 'allow' } },
    });
    expect(decideWith(allows, requestOf('GET /a;x')).reason).toBe('no_rule_matched');
  });
});
