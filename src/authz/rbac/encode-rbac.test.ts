import { describe, expect, it } from 'vitest';
import { RandomTrees } from '../../../test/differential/random-trees.ts';
import { treeOfAll, treeOfRules } from '../../../test/fakes/rbac-trees.ts';
import { createSeededRandom } from '../../../test/programs/seeded-random.ts';
import { decodeRbac } from '../../../test/suites/decode-rbac.ts';
import { encodeRbac, encodeRbacExtension } from './encode-rbac.ts';
import type { Matcher } from './matcher.ts';
import { rbacJson } from './rbac-json.ts';
import { type RbacParts, rbacMessage } from './rbac-message.ts';
import { typeUrls } from './type-urls.ts';

const deny: Matcher = { kind: 'action', name: 'no_rule_matched', action: 'DENY' };
const allow: Matcher = { kind: 'action', name: 'ask_check', action: 'ALLOW' };

describe('encodeRbac', () => {
  const messages: readonly (readonly [string, RbacParts])[] = [
    ['every node of HTTP', { target: 'http', matcher: treeOfAll('http') }],
    ['every node of connections', { target: 'network', matcher: treeOfAll('network') }],
    ['an action alone', { target: 'http', matcher: deny }],
    ['a shadow', { target: 'http', matcher: allow, shadow: treeOfAll('http') }],
    [
      'prefixes and counters',
      {
        target: 'http',
        matcher: allow,
        shadow: deny,
        statPrefix: 'tp_',
        shadowStatPrefix: 'tp_alone_',
        perRuleStats: true,
      },
    ],
    [
      'the shadow of connections, whose rules have no counters',
      { target: 'network', matcher: deny, shadow: allow, perRuleStats: true },
    ],
    ['many rules', { target: 'http', matcher: treeOfRules(500) }],
  ];

  it.each(messages)('writes %s as JSON has it', (_, parts) => {
    const message = rbacMessage(parts);
    const decoded = decodeRbac(typeUrls[message.target], encodeRbac(message));
    expect(decoded).toEqual(rbacJson(message));
  });

  it('writes random trees as JSON has them', () => {
    const trees = new RandomTrees(createSeededRandom(Number(process.env['SEED'])));
    for (let count = 0; count < 100; count++) {
      const message = rbacMessage({ target: 'http', matcher: trees.next(4) });
      expect(decodeRbac(typeUrls.http, encodeRbac(message))).toEqual(rbacJson(message));
    }
  });

  it('writes the same bytes for the same message', () => {
    const message = rbacMessage({ target: 'http', matcher: treeOfRules(50) });
    expect(encodeRbac(message)).toEqual(encodeRbac({ ...message }));
  });

  it('wraps it as a resource of ECDS', () => {
    const message = rbacMessage({ target: 'network', matcher: deny });
    const bytes = encodeRbacExtension('trustplane.network-rbac', message);
    const url = 'type.googleapis.com/xds.core.v3.TypedExtensionConfig';
    expect(decodeRbac(url, bytes)).toEqual({
      '@type': url,
      name: 'trustplane.network-rbac',
      typed_config: rbacJson(message),
    });
  });

  it('writes no tree that Envoy would refuse', () => {
    const when = { kind: 'and', all: [] } as const;
    const list = (entries: Extract<Matcher, { kind: 'list' }>['entries']): Matcher => ({
      kind: 'list',
      entries,
      otherwise: deny,
    });
    const map: Matcher = {
      kind: 'map',
      by: 'exact',
      input: { kind: 'path' },
      entries: new Map(),
      otherwise: deny,
    };
    for (const matcher of [list([]), list([{ when, then: deny }]), map])
      expect(() => encodeRbac(rbacMessage({ target: 'http', matcher }))).toThrow(RangeError);
  });

  it('writes long texts, and texts that are not ASCII', () => {
    for (const text of [
      'é'.repeat(300),
      'a'.repeat(70_000),
      '\u{1f511}',
      `${'a'.repeat(5_000)}é`,
    ]) {
      const match = { kind: 'exact', text } as const;
      const when = { kind: 'value', input: { kind: 'path' }, match } as const;
      const matcher: Matcher = {
        kind: 'list',
        entries: [{ when, then: deny }],
        otherwise: undefined,
      };
      const message = rbacMessage({ target: 'http', matcher });
      expect(decodeRbac(typeUrls.http, encodeRbac(message))).toEqual(rbacJson(message));
    }
  });
});
