import { readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEntryDocument, parseRelationshipDocument } from '../../src/api/apply-messages.ts';
import {
  parseSpireBundles,
  parseSpireEntries,
  parseSpireRelationships,
} from '../../src/apply/index.ts';
import { TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';
import '../fakes/property-seed.ts';

const own = TrustDomain.parse('a.test');
const rules = { trustDomain: own, now: Date.parse('2026-01-01T00:00:00Z') };

/** What `run` gives, or the code of what it refuses with; anything else is thrown. */
function tried<Value>(run: () => Value): Value | string {
  try {
    return run();
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom('', '-1', '9999999999999999999', '__proto__', 'a.test', 'b.test', '/x', 'AAAA'),
);

/** A JSON value with something in it in place of something else, or gone. */
function mutated(value: unknown, path: readonly number[], put: unknown): unknown {
  if (typeof value !== 'object' || value === null) return put;
  const keys = Object.keys(value);
  const [first, ...rest] = path;
  const key = first === undefined ? undefined : keys[first % keys.length];
  if (key === undefined) return put;
  const members = Object.entries(value).map(([name, member]: [string, unknown]) => [
    name,
    name === key ? mutated(member, rest, put) : member,
  ]);
  return Array.isArray(value) ? members.map(([, member]) => member) : Object.fromEntries(members);
}

const path = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 6 });

const printed = (name: string): string =>
  readFileSync(new URL(`../fixtures/spire/${name}.json`, import.meta.url), 'utf8');
const some = (name: string, list: string): object => {
  const all: Record<string, readonly unknown[]> = JSON.parse(printed(name));
  return { ...all, [list]: all[list]?.slice(0, 8) };
};

const exports = [
  ['entries', 'entries', (text: string) => parseSpireEntries(text, 'x.json', rules)],
  ['bundles', 'bundles', (text: string) => parseSpireBundles(text, 'x.json', own)],
  [
    'federation',
    'federation_relationships',
    (text: string) => parseSpireRelationships(text, 'x.json', own),
  ],
] as const;

describe("SPIRE's exports", () => {
  it.each(exports)('of %s with anything in them are read, or refused', (name, list, parse) => {
    const whole = some(name, list);
    const codes = new Set<unknown>();
    fc.assert(
      fc.property(path, odd, (at, put) => {
        const text = JSON.stringify(mutated(whole, at, put)) ?? '';
        const read = tried(() => parse(text));
        codes.add(typeof read === 'string' ? read : 'read');
      }),
      { numRuns: 200 },
    );
    expect(codes).toEqual(new Set(['read', 'ERR_IMPORT']));
  });

  it.each(exports)('of %s that are no JSON are refused', (_name, _list, parse) => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(tried(() => parse(`{${text}`))).toBe('ERR_IMPORT');
      }),
      { numRuns: 100 },
    );
  });
});

describe('messages of an apply', () => {
  const text = fc.oneof(
    fc.constantFrom('', 'a.test', 'b.test', '/x', 'unix', 'uid:1', 'https://b.test/x', '..', '*'),
    fc.string({ maxLength: 8 }),
  );
  const id = fc.oneof(
    { weight: 9, arbitrary: fc.constant({ trust_domain: 'a.test', path: '/x' }) },
    { weight: 1, arbitrary: fc.record({ trust_domain: text, path: text }, { requiredKeys: [] }) },
  );
  const seconds = fc.oneof(fc.constantFrom('', '0', '60'), fc.bigInt().map(String), text);
  const selector = fc.record({ type: text, value: text }, { requiredKeys: [] });
  const plain = fc.record({
    spiffe_id: id,
    parent_id: id,
    selectors: fc.constant([{ type: 'unix', value: 'uid:1' }]),
    hint: text,
    expires_at: seconds,
  });
  const anything = fc.record(
    {
      id: text,
      spiffe_id: fc.option(id),
      parent_id: fc.option(id),
      selectors: fc.array(selector, { maxLength: 3 }),
      x509_svid_ttl: fc.integer(),
      jwt_svid_ttl: fc.integer(),
      federates_with: fc.array(text, { maxLength: 3 }),
      dns_names: fc.array(text, { maxLength: 3 }),
      hint: text,
      admin: fc.boolean(),
      store_svid: fc.boolean(),
      expires_at: seconds,
    },
    { requiredKeys: [] },
  );
  const entry = fc.oneof(plain, anything);
  const relationship = fc.record(
    {
      trust_domain: text,
      bundle_endpoint_url: text,
      https_web: fc.option(fc.constant({})),
      https_spiffe: fc.option(fc.record({ endpoint_spiffe_id: text }, { requiredKeys: [] })),
    },
    { requiredKeys: [] },
  );
  const terms = fc.record(
    {
      accept: fc.array(text, { maxLength: 3 }),
      publisher_id: text,
      await_ack: fc.boolean(),
      web_ca: text,
    },
    { requiredKeys: [] },
  );

  it('are entries of the trust domain, or refused with a code', () => {
    let count = 0;
    fc.assert(
      fc.property(entry, text, (wire, source) => {
        const read = tried(() => parseEntryDocument({ entry: wire, source }, rules));
        const isRead = typeof read !== 'string';
        expect(isRead ? read.entry.spiffeId.trustDomain.name : read).toMatch(
          isRead ? /^a\.test$/u : /^ERR_(?:ENTRY|API|SELECTOR|SPIFFE|TRUST)/u,
        );
        if (isRead) count++;
      }),
      { numRuns: 1_000 },
    );
    expect(count).toBeGreaterThan(50);
  });

  it('are relationships with other trust domains, or refused with a code', () => {
    fc.assert(
      fc.property(relationship, terms, (wire, more) => {
        const read = tried(() =>
          parseRelationshipDocument({ relationship: wire, terms: more }, rules),
        );
        expect(typeof read === 'string' ? read : read.relationship.trustDomain.name).toMatch(
          /^(?:ERR_|(?!a\.test$).)/u,
        );
      }),
      { numRuns: 1_000 },
    );
  });
});
