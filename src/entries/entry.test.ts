import { describe, expect, it } from 'vitest';
import { testDraft, testTrustDomain } from '../../test/fakes/test-entries.ts';
import { type ErrorCode, parseSelector, type Selector, TrustplaneError } from '../spiffe/index.ts';
import { draftOf, type EntryDraft, parseEntry } from './entry.ts';

const now = Date.parse('2026-01-01T00:00:00Z');
const rules = { trustDomain: testTrustDomain, now };
const stamp = { id: 'web', revisionNumber: 0, createdAt: now };

function parse(more: Partial<EntryDraft>) {
  return parseEntry({ ...testDraft('web'), ...more }, stamp, rules);
}

function faultOf(work: () => unknown): [ErrorCode, string] {
  try {
    work();
  } catch (error) {
    if (error instanceof TrustplaneError) return [error.code, error.message];
    throw error;
  }
  throw new Error('expected a refusal');
}

const texts = (selectors: readonly Selector[]) => selectors.map((s) => `${s.type}:${s.value}`);
const many = (count: number, make: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => make(i));

describe('parseEntry', () => {
  it('fills in defaults', () => {
    const entry = parse({});
    expect(entry).toMatchObject({
      x509SvidTtlSeconds: 0,
      jwtSvidTtlSeconds: 0,
      hint: '',
      admin: false,
    });
    expect(entry).toMatchObject({
      federatesWith: [],
      dnsNames: [],
      expiresAt: undefined,
      storeSvid: false,
    });
  });

  it('puts selectors and trust domains in order, without duplicates, and keeps the order of DNS names', () => {
    const entry = parse({
      selectors: ['unix:uid:2', 'k8s:ns:x', 'unix:uid:2'].map(parseSelector),
      federatesWith: ['spiffe://c.test', 'b.test', 'c.test'],
      dnsNames: ['z.test', 'a.test', 'z.test', '*.w.test'],
    });
    expect(texts(entry.selectors)).toEqual(['k8s:ns:x', 'unix:uid:2']);
    expect(entry.federatesWith.map(String)).toEqual(['b.test', 'c.test']);
    expect(entry.dnsNames).toEqual(['z.test', 'a.test', '*.w.test']);
  });

  it('makes from draftOf(entry) the same entry', () => {
    const entry = parse({
      expiresAtSeconds: now / 1000 + 9,
      federatesWith: ['b.test'],
      hint: 'h',
      storeSvid: true,
    });
    expect(parseEntry(draftOf(entry), stamp, rules)).toEqual(entry);
  });

  it('allows parents that are agents, the server, workloads, or the entry itself', () => {
    for (const path of ['/spire/agent/join_token/abc', '/spire/server', '/other', '/web']) {
      expect(parse({ parentId: `spiffe://a.test${path}` }).parentId.path).toBe(path);
    }
  });

  it('takes an ID of 2048 bytes and refuses one of 2049 (ID-8)', () => {
    const longest = `spiffe://a.test/${'p'.repeat(2048 - 16)}`;
    expect(parse({ spiffeId: longest }).spiffeId.toString()).toBe(longest);
    expect(faultOf(() => parse({ spiffeId: `${longest}p` }))[0]).toBe('ERR_ENTRY_SPIFFE_ID');
  });

  it('takes a hint of 1024 bytes and refuses one of 1025 (WLAPI-8)', () => {
    expect(parse({ hint: 'é'.repeat(512) }).hint).toHaveLength(512);
    expect(faultOf(() => parse({ hint: `${'é'.repeat(512)}x` }))[0]).toBe('ERR_ENTRY_HINT');
  });

  it.each<[string, Partial<EntryDraft>, ErrorCode, string]>([
    [
      'another trust domain',
      { spiffeId: 'spiffe://b.test/web' },
      'ERR_ENTRY_SPIFFE_ID',
      'spiffeId: ',
    ],
    [
      'the trust domain itself',
      { spiffeId: 'spiffe://a.test' },
      'ERR_ENTRY_SPIFFE_ID',
      'with a path',
    ],
    [
      'a malformed ID',
      { spiffeId: 'spiffe://a.test/a//b' },
      'ERR_ENTRY_SPIFFE_ID',
      'empty segment',
    ],
    [
      'an ID under /spire/',
      { spiffeId: 'spiffe://a.test/spire/x' },
      'ERR_ENTRY_SPIFFE_ID',
      'reserved',
    ],
    ['the ID /spire', { spiffeId: 'spiffe://a.test/spire' }, 'ERR_ENTRY_SPIFFE_ID', 'reserved'],
    ['a parent elsewhere', { parentId: 'spiffe://b.test/x' }, 'ERR_ENTRY_PARENT_ID', 'parentId: '],
    [
      'an unknown reserved parent',
      { parentId: 'spiffe://a.test/spire/agents/x' },
      'ERR_ENTRY_PARENT_ID',
      '/spire/agent/',
    ],
    [
      '/spire/agent as parent',
      { parentId: 'spiffe://a.test/spire/agent' },
      'ERR_ENTRY_PARENT_ID',
      '/spire/agent/',
    ],
    ['no selector', { selectors: [] }, 'ERR_ENTRY_SELECTORS', 'at least one'],
    ['a TTL below 0', { x509SvidTtlSeconds: -1 }, 'ERR_ENTRY_TTL', 'x509SvidTtlSeconds'],
    [
      'a TTL of a year and a second',
      { jwtSvidTtlSeconds: 31_536_001 },
      'ERR_ENTRY_TTL',
      'jwtSvidTtlSeconds',
    ],
    ['a TTL that is no number', { jwtSvidTtlSeconds: Number.NaN }, 'ERR_ENTRY_TTL', 'NaN'],
    [
      'the own trust domain',
      { federatesWith: ['a.test'] },
      'ERR_ENTRY_FEDERATES_WITH',
      'federatesWith[0]: ',
    ],
    [
      'a malformed trust domain',
      { federatesWith: ['b.test', 'B'] },
      'ERR_ENTRY_FEDERATES_WITH',
      'federatesWith[1]: ',
    ],
    [
      '1025 trust domains',
      { federatesWith: many(1025, (i) => `b${i}`) },
      'ERR_ENTRY_FEDERATES_WITH',
      '1024',
    ],
    ['65 DNS names', { dnsNames: many(65, (i) => `b${i}`) }, 'ERR_ENTRY_DNS_NAME', '64'],
    ['a control character in a hint', { hint: 'a\u0000' }, 'ERR_ENTRY_HINT', 'control'],
    ['a lone surrogate in a hint', { hint: '\ud800' }, 'ERR_ENTRY_HINT', 'well-formed'],
    ['an expiry now', { expiresAtSeconds: now / 1000 }, 'ERR_ENTRY_EXPIRY', 'after now'],
    [
      'an expiry after 9999',
      { expiresAtSeconds: 253_402_300_800 },
      'ERR_ENTRY_EXPIRY',
      '253402300799',
    ],
    ['an expiry below 0', { expiresAtSeconds: -5 }, 'ERR_ENTRY_EXPIRY', '-5'],
    [
      'storeSvid with selectors of two types',
      { storeSvid: true, selectors: ['k8s:ns:a', 'unix:uid:1'].map(parseSelector) },
      'ERR_ENTRY_STORE_SVID',
      'k8s, unix',
    ],
    [
      'storeSvid without a cache',
      { storeSvid: true, disableX509SvidPrefetch: true },
      'ERR_ENTRY_STORE_SVID',
      'disable',
    ],
  ])('refuses %s', (_, more, code, words) => {
    const [gotCode, message] = faultOf(() => parse(more));
    expect(gotCode).toBe(code);
    expect(message).toContain(words);
  });

  it.each(['', 'a/b', 'a b', 'é', 'x'.repeat(256)])('refuses the entry ID %j', (id) => {
    expect(faultOf(() => parseEntry(testDraft('web'), { ...stamp, id }, rules))[0]).toBe(
      'ERR_ENTRY_ID',
    );
  });
});

/** Cuts at the first colon and checks nothing. */
const split = (text: string): Selector => ({
  type: text.slice(0, text.indexOf(':')),
  value: text.slice(text.indexOf(':') + 1),
});

describe('selectors of an entry', () => {
  it.each([
    'unix:uid:0',
    'unix:gid:4294967295',
    'unix:user:root',
    'unix:group:DOMAIN\\people',
    'unix:supplementary_gid:1',
    'unix:supplementary_group:adm',
    'unix:path:/usr/bin/a b',
    `unix:sha256:${'0f'.repeat(32)}`,
    'docker:label:a:b',
    'spiffe_id:spiffe://a.test/spire/agent/x/y',
    'a:1',
  ])('takes %s', (text) => {
    expect(texts(parse({ selectors: [parseSelector(text)] }).selectors)).toEqual([text]);
  });

  it.each([
    ['unix:uid:01', 'decimal'],
    ['unix:uid:4294967296', 'decimal'],
    ['unix:gid:-1', 'decimal'],
    ['unix:supplementary_gid:0x1', 'decimal'],
    ['unix:user:', 'a name'],
    ['unix:path:bin/x', 'absolute'],
    [`unix:sha256:${'0F'.repeat(32)}`, 'hex'],
    ['unix:sha256:00', 'hex'],
    ['unix:user', 'supplementary_group'],
    ['unix:cmdline:x', 'supplementary_group'],
    ['k8s:ns:a\nb', 'control'],
    [`k8s:${'n'.repeat(4097)}`, '4096'],
  ])('refuses %j and says what it knows', (text, words) => {
    const [code, message] = faultOf(() => parse({ selectors: [split(text)] }));
    expect([code, message]).toEqual(['ERR_ENTRY_SELECTORS', expect.stringContaining(words)]);
    expect(message).toContain('selectors[0]');
  });

  it('takes 64 distinct ones and refuses 65', () => {
    const uids = (count: number) => many(count, (i) => `unix:uid:${i}`).map(parseSelector);
    expect(parse({ selectors: [...uids(64), ...uids(64)] }).selectors).toHaveLength(64);
    expect(faultOf(() => parse({ selectors: uids(65) }))[1]).toContain('at most 64');
  });
});

describe('DNS names of an entry', () => {
  it.each([
    'localhost',
    'a.b.c',
    '*.a.test',
    '1.2.3.example',
    'xn--bcher-kva.example',
    `${'a'.repeat(63)}.test`,
  ])('takes %s', (name) => {
    expect(parse({ dnsNames: [name] }).dnsNames).toEqual([name]);
  });

  it.each([
    '',
    '*',
    'a.*.test',
    '**.test',
    'a.test.',
    '.a',
    'a..b',
    '-a.test',
    'a-.test',
    'a_b.test',
    'A.test',
    'bücher.test',
    '10.0.0.1',
    `${'a'.repeat(64)}.test`,
    many(64, () => 'abc').join('.'),
    'a.test\0',
    'a b',
  ])('refuses %j', (name) => {
    const [code, message] = faultOf(() => parse({ dnsNames: ['ok.test', name] }));
    expect([code, message]).toEqual(['ERR_ENTRY_DNS_NAME', expect.stringContaining('dnsNames[1]')]);
  });
});
