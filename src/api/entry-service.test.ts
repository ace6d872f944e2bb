import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { openRegistry } from '../../test/fakes/open-registry.ts';
import { pageLimits } from '../entries/index.ts';
import { silentLog } from '../ops/index.ts';
import { createEntryService } from './entry-service.ts';

async function open() {
  const { clock, registry } = await openRegistry();
  const call = await serveForTest(createEntryService({ entries: registry, log: silentLog }));
  const create = (...entries: object[]) => call('BatchCreateEntry', { entries });
  return { clock, registry, call, create };
}

const agent = { trust_domain: 'a.test', path: '/spire/agent/local/up' };
const wire = (name: string, more: object = {}) => ({
  id: name,
  spiffe_id: { trust_domain: 'a.test', path: `/${name}` },
  parent_id: agent,
  selectors: [{ type: 'unix', value: 'uid:1000' }],
  ...more,
});
const full = {
  x509_svid_ttl: 60,
  jwt_svid_ttl: 30,
  federates_with: ['b.test', 'c.test'],
  admin: true,
  downstream: true,
  expires_at: '1900000000',
  dns_names: ['w.test'],
  hint: 'h',
  additional_attributes: { disable_x509_svid_prefetch: true, jwt_svid_include_jti: true },
};
const item = (code: number, more: object = {}) =>
  expect.objectContaining({ status: expect.objectContaining({ code }), ...more });
const refused = (code: status, words: string) =>
  expect.objectContaining({ code, details: expect.stringContaining(words) });

describe('BatchCreateEntry', () => {
  it('makes entries with every field', async () => {
    const { create, clock } = await open();
    const created_at = String(clock.now() / 1000);
    const stamp = { revision_number: '0', created_at, store_svid: false };
    expect(await create(wire('web', full))).toEqual({
      results: [
        {
          status: { code: 0, message: 'OK' },
          entry: expect.objectContaining({ ...wire('web', full), ...stamp }),
        },
      ],
    });
  });

  it('answers item by item, in order', async () => {
    const { create, registry } = await open();
    const response = await create(
      wire('a'),
      wire('b', { spiffe_id: { trust_domain: 'b.test', path: '/b' } }),
      wire('again', { spiffe_id: { trust_domain: 'a.test', path: '/a' } }),
      wire('a', { selectors: [{ type: 'unix', value: 'uid:2' }] }),
      wire('c', { parent_id: undefined }),
      wire('d', { spiffe_id: { trust_domain: 'a.test/x', path: '/d' } }),
      wire('e', { selectors: [{ type: 'unix:uid', value: '1' }] }),
      wire('f', { expires_at: '9223372036854775807' }),
      wire('g'),
    );
    expect(response).toEqual({
      results: [
        item(0),
        item(status.INVALID_ARGUMENT),
        item(status.ALREADY_EXISTS, { entry: expect.objectContaining({ id: 'a' }) }),
        item(status.ALREADY_EXISTS),
        item(status.INVALID_ARGUMENT),
        item(status.INVALID_ARGUMENT),
        item(status.INVALID_ARGUMENT),
        item(status.INVALID_ARGUMENT),
        item(0),
      ],
    });
    expect(registry.count()).toBe(2);
  });

  it('takes what the Kubernetes controller of SPIRE tries out before it begins, again and again', async () => {
    const { create, registry } = await open();
    const id = {
      trust_domain: 'a.test',
      path: '/spire-controller-manager/unsupported-fields-test',
    };
    const probe = {
      parent_id: id,
      spiffe_id: id,
      selectors: [{ type: 'a', value: '1' }],
      x509_svid_ttl: 60,
      jwt_svid_ttl: 60,
      store_svid: true,
      hint: 'hint',
    };
    const made = expect.objectContaining({ ...probe, id: expect.any(String) });
    expect(await create(probe)).toEqual({ results: [item(status.OK, { entry: made })] });
    expect(await create(probe)).toEqual({
      results: [item(status.ALREADY_EXISTS, { entry: made })],
    });
    expect(registry.count()).toBe(1);
  });

  it('says in an item what was expected, what came and where', async () => {
    const { create } = await open();
    const response = await create(wire('a', { selectors: [{ type: 'unix', value: 'uid:x' }] }));
    const message = expect.stringMatching(
      /^selectors\[0\]\.value \(unix:uid\): expected a decimal .*; got "x"$/u,
    );
    expect(response).toEqual({ results: [{ status: { code: status.INVALID_ARGUMENT, message } }] });
  });

  it('shows the masked fields alone', async () => {
    const { call } = await open();
    const output_mask = { hint: true, selectors: true };
    const response = await call('BatchCreateEntry', { entries: [wire('web', full)], output_mask });
    const entry = {
      id: 'web',
      hint: 'h',
      selectors: wire('web').selectors,
      federates_with: [],
      dns_names: [],
    };
    expect(response).toEqual({ results: [item(0, { entry })] });
  });

  it('makes up an ID when none is given', async () => {
    const { create, registry } = await open();
    await create(wire('a', { id: '' }));
    expect(registry.list({}, { pageSize: 0, pageToken: '' }).entries[0]?.id).toMatch(
      /^[0-9a-f-]{36}$/u,
    );
  });

  it('refuses more than 10,000 items', async () => {
    const { create } = await open();
    const creation = create(...Array.from({ length: 10_001 }, () => ({})));
    await expect(creation).rejects.toEqual(refused(status.INVALID_ARGUMENT, 'at most 10000'));
  });
});

describe('BatchUpdateEntry', () => {
  const update = {
    id: 'web',
    hint: 'new',
    x509_svid_ttl: 7,
    parent_id: { trust_domain: 'a.test', path: '/p' },
  };

  it('sets the masked fields alone', async () => {
    const { create, call, registry } = await open();
    await create(wire('web', full));
    const request = {
      entries: [update],
      input_mask: { hint: true, federates_with: true, additional_attributes: true },
    };
    const response = await call('BatchUpdateEntry', request);
    const entry = expect.objectContaining({
      hint: 'new',
      x509_svid_ttl: 60,
      revision_number: '1',
      dns_names: ['w.test'],
    });
    expect(response).toEqual({ results: [item(0, { entry })] });
    expect(registry.get('web')).toMatchObject({
      federatesWith: [],
      disableX509SvidPrefetch: false,
      admin: true,
    });
    expect(registry.get('web')?.parentId.path).toBe(agent.path);
  });

  it('sets every field without a mask', async () => {
    const { create, call, registry } = await open();
    await create(wire('web', full));
    await call('BatchUpdateEntry', { entries: [{ ...wire('web'), hint: 'new' }] });
    expect(registry.get('web')).toMatchObject({
      hint: 'new',
      x509SvidTtlSeconds: 0,
      federatesWith: [],
      dnsNames: [],
      admin: false,
      expiresAt: undefined,
      revisionNumber: 1,
    });
  });

  it('moves an entry, and takes updates of one entry one after the other', async () => {
    const { create, call, registry } = await open();
    await create(wire('web'));
    const ids = Array.from({ length: 12 }, (_, i) => ({
      id: 'web',
      spiffe_id: { trust_domain: 'a.test', path: `/${i}` },
    }));
    await call('BatchUpdateEntry', { entries: ids, input_mask: { spiffe_id: true } });
    expect(registry.get('web')).toMatchObject({ spiffeId: { path: '/11' }, revisionNumber: 12 });
  });

  it('answers for what it cannot update', async () => {
    const { create, call } = await open();
    await create(wire('a'), wire('b'));
    const entries = [
      { id: 'none' },
      {},
      { id: 'a', spiffe_id: { trust_domain: 'a.test', path: '/b' } },
      { id: 'a' },
    ];
    expect(await call('BatchUpdateEntry', { entries, input_mask: { spiffe_id: true } })).toEqual({
      results: [
        item(status.INVALID_ARGUMENT),
        item(status.INVALID_ARGUMENT),
        item(status.ALREADY_EXISTS),
        item(status.INVALID_ARGUMENT),
      ],
    });
    const unknown = await call('BatchUpdateEntry', {
      entries: [{ id: 'none' }],
      input_mask: { hint: true },
    });
    expect(unknown).toEqual({ results: [item(status.NOT_FOUND)] });
  });
});

describe('BatchDeleteEntry and GetEntry', () => {
  it('answers for each ID', async () => {
    const { create, call, registry } = await open();
    await create(wire('a'), wire('b'));
    expect(await call('BatchDeleteEntry', { ids: ['a', 'none', ''] })).toEqual({
      results: [
        item(0, { id: 'a' }),
        item(status.NOT_FOUND, { id: 'none' }),
        item(status.INVALID_ARGUMENT, { id: '' }),
      ],
    });
    expect(registry.count()).toBe(1);
  });

  it('gets one, masked', async () => {
    const { create, call } = await open();
    await create(wire('a', full));
    expect(await call('GetEntry', { id: 'a', output_mask: { hint: true } })).toEqual({
      id: 'a',
      hint: 'h',
      selectors: [],
      federates_with: [],
      dns_names: [],
    });
    await expect(call('GetEntry', { id: 'b' })).rejects.toEqual(refused(status.NOT_FOUND, '"b"'));
    await expect(call('GetEntry', {})).rejects.toEqual(refused(status.INVALID_ARGUMENT, 'id: '));
  });
});

describe('ListEntries and CountEntries', () => {
  const selector = (value: string) => ({ type: 'unix', value });
  const filters: [string, object, string[]][] = [
    ['nothing', {}, ['a', 'b', 'c']],
    ['SPIFFE ID', { by_spiffe_id: { trust_domain: 'a.test', path: '/a' } }, ['a']],
    ['parent', { by_parent_id: { trust_domain: 'a.test', path: '/a' } }, ['c']],
    ['exact selectors', { by_selectors: { selectors: [selector('uid:1')] } }, ['a']],
    [
      'a subset',
      {
        by_selectors: { match: 'MATCH_SUBSET', selectors: [selector('uid:1'), selector('gid:1')] },
      },
      ['a', 'b'],
    ],
    [
      'a superset',
      { by_selectors: { match: 'MATCH_SUPERSET', selectors: [selector('gid:1')] } },
      ['b'],
    ],
    [
      'any',
      { by_selectors: { match: 'MATCH_ANY', selectors: [selector('uid:1'), selector('uid:3')] } },
      ['a', 'b', 'c'],
    ],
    [
      'federation',
      { by_federates_with: { match: 'MATCH_ANY', trust_domains: ['spiffe://b.test', 'x'] } },
      ['b'],
    ],
    ['a hint', { by_hint: { value: 'h' } }, ['c']],
    ['an empty hint', { by_hint: {} }, ['a', 'b', 'c']],
    ['downstream', { by_downstream: { value: true } }, ['a']],
    ["downstream false, which SPIRE's tools always send", { by_downstream: {} }, ['a', 'b', 'c']],
    ['two things', { by_downstream: {}, by_hint: { value: 'h' } }, ['c']],
  ];
  const entries = [
    wire('a', { selectors: [selector('uid:1')], downstream: true }),
    wire('b', { selectors: [selector('uid:1'), selector('gid:1')], federates_with: ['b.test'] }),
    wire('c', {
      selectors: [selector('uid:3')],
      hint: 'h',
      parent_id: { trust_domain: 'a.test', path: '/a' },
    }),
  ];

  it.each(filters)('filter by %s', async (_, filter, ids) => {
    const { create, call } = await open();
    await create(...entries);
    const list = await call('ListEntries', { filter, output_mask: {} });
    expect(list).toMatchObject({ entries: ids.map((id) => ({ id })), next_page_token: '' });
    expect(await call('CountEntries', { filter })).toEqual({ count: ids.length });
  });

  it('page', async () => {
    const { create, call } = await open();
    await create(...entries);
    const first = {
      entries: [{ id: 'a' }, { id: 'b' }],
      next_page_token: Buffer.from('1:b').toString('base64url'),
    };
    expect(await call('ListEntries', { page_size: 2 })).toMatchObject(first);
    const second = await call('ListEntries', { page_size: 2, page_token: first.next_page_token });
    expect(second).toMatchObject({ entries: [{ id: 'c' }], next_page_token: '' });
  });

  it('never give a part for the whole', async () => {
    const { call, registry } = await open();
    for (let i = 0; i <= pageLimits.entries; i++) {
      await registry.create({
        id: `e${i}`,
        spiffeId: `spiffe://a.test/${i}`,
        parentId: 'spiffe://a.test/p',
        selectors: [{ type: 'k8s', value: 'x' }],
      });
    }
    await expect(call('ListEntries')).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'page_size'),
    );
  });

  it.each<[string, object]>([
    ['by_selectors', { by_selectors: { selectors: [] } }],
    ['by_selectors', { by_selectors: { selectors: [{ type: 'unix' }] } }],
    ['by_selectors', { by_selectors: { selectors: [{ type: 'a:b', value: 'c' }] } }],
    ['by_selectors', { by_selectors: { match: 9, selectors: [selector('uid:1')] } }],
    ['by_federates_with', { by_federates_with: { trust_domains: [] } }],
    ['by_federates_with', { by_federates_with: { trust_domains: ['B'] } }],
    ['by_spiffe_id', { by_spiffe_id: { trust_domain: 'a.test', path: 'a' } }],
    ['by_parent_id', { by_parent_id: {} }],
  ])('refuse a malformed filter and name %s', async (field, filter) => {
    const { call } = await open();
    await expect(call('ListEntries', { filter })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, field),
    );
    await expect(call('CountEntries', { filter })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, field),
    );
  });

  it('refuse a malformed page', async () => {
    const { call } = await open();
    await expect(call('ListEntries', { page_size: -1 })).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'page_size'),
    );
    const request = { page_size: 1, page_token: 'x' };
    await expect(call('ListEntries', request)).rejects.toEqual(
      refused(status.INVALID_ARGUMENT, 'page_token'),
    );
  });
});
