import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TrustDomain } from '../spiffe/index.ts';
import { parseSpireBundles } from './spire-bundles.ts';
import { parseSpireEntries } from './spire-entries.ts';
import { parseSpireRelationships } from './spire-relationships.ts';

const own = TrustDomain.parse('a.test');
const rules = { trustDomain: own, now: Date.UTC(2026, 10, 23) };
const printed = (name: string): string =>
  readFileSync(new URL(`../../test/fixtures/spire/${name}.json`, import.meta.url), 'utf8');

const entry = (more: object = {}) => ({
  id: 'x',
  spiffe_id: { trust_domain: 'a.test', path: '/x' },
  parent_id: { trust_domain: 'a.test', path: '/spire/server' },
  selectors: [{ type: 'unix', value: 'uid:1' }],
  ...more,
});
const read = (...entries: readonly object[]) =>
  parseSpireEntries(JSON.stringify({ entries }), 'e.json', rules);

describe('what spire-server prints', () => {
  it('is read: entries of every kind, a thousand of them', () => {
    const { entries, left } = parseSpireEntries(printed('entries'), 'e.json', rules);
    expect([entries.length, left]).toEqual([1_000, []]);
    expect(entries.find(({ draft }) => draft.id === 'my-id')?.draft).toMatchObject({
      spiffeId: 'spiffe://a.test/web',
      federatesWith: ['b.test'],
      dnsNames: ['web.test', 'w2.test'],
      hint: 'external',
      x509SvidTtlSeconds: 600,
      jwtSvidTtlSeconds: 300,
      expiresAtSeconds: 4_102_444_800,
    });
    const flags = entries.map(({ entry: { admin, downstream, storeSvid } }) => [
      admin,
      downstream,
      storeSvid,
    ]);
    for (const flag of [0, 1, 2]) expect(flags.filter((one) => one[flag])).toHaveLength(1);
  });

  it('is read: bundles, and relationships with theirs', () => {
    expect(
      parseSpireBundles(printed('bundles'), 'b.json', own).bundles.map(({ trustDomain }) =>
        trustDomain.toString(),
      ),
    ).toHaveLength(2);
    const { relationships, bundles, left } = parseSpireRelationships(
      printed('federation'),
      'f.json',
      own,
    );
    expect(left).toEqual([]);
    expect(bundles).toHaveLength(1);
    expect(relationships.map(({ relationship }) => relationship.profile.type)).toEqual([
      'https_web',
      'https_spiffe',
    ]);
  });

  it('of another release is read: other fields are passed over, an old lifetime is known', () => {
    const { entries } = read({ ...entry({ ttl: 60, brand_new: [1] }) });
    expect(entries[0]?.draft.x509SvidTtlSeconds).toBe(60);
  });

  it('is refused where it is not what SPIRE prints', () => {
    expect(() => read(entry({ admin: 'yes' }))).toThrow(/entries\.0\.admin/u);
    expect(() => parseSpireEntries('{"bundles":[]}', 'e.json', rules)).toThrow(/entries/u);
    expect(() => parseSpireEntries('Found 1 entry', 'e.json', rules)).toThrow(/expected JSON/u);
  });

  it('is refused where a member stands twice, which is named', () => {
    const text = JSON.stringify({ entries: [entry()] }, null, 2);
    const twice = text.replace('"id": "x"', '"id": "y",\n      "id": "x"');
    expect(() => parseSpireEntries(text, 'e.json', rules)).not.toThrow();
    expect(() => parseSpireEntries(twice, 'e.json', rules)).toThrow(
      'e.json: expected JSON; malformed JSON at 5:7: duplicate member name "id"',
    );
  });

  it('of another trust domain is refused', () => {
    const other = { trust_domain: 'z.test', path: '/x' };
    expect(() => read(entry({ spiffe_id: other, parent_id: other }))).toThrow(
      'e.json: entry x is of the trust domain z.test; this server is of a.test',
    );
  });

  it('that cannot be taken over is named', () => {
    const { entries, left } = read(entry(), entry({ id: 'old', expires_at: '1' }));
    expect(entries).toHaveLength(1);
    expect(left).toEqual([expect.stringMatching(/entry old .*an instant after now/u)]);
  });
});
