import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { IdScope, TrustDomain } from '../../src/spiffe/index.ts';
import { bundleOf, type TestCertificate } from '../fakes/test-certificates.ts';
import {
  issueAuthority,
  issueLeaf,
  SdsGround,
  serverIdentity,
  withoutSanList,
} from '../programs/sds-ground.ts';

const TYPED_LIST = /match_typed_subject_alt_names:\n.*\n.*\n/u;

const b = TrustDomain.parse('b.test');
let ground: SdsGround;
let authorities: Readonly<Record<'a.test' | 'b.test' | 'c.test', TestCertificate>>;

/** Publishes the three trust domains, of which `b.test` is accepted at these paths alone. */
async function publish(...paths: readonly string[]): Promise<void> {
  const accept = paths.map((path) => IdScope.parse(`spiffe://b.test${path}`, b));
  const identity = serverIdentity(await issueLeaf(authorities['a.test'], 'spiffe://a.test/server'));
  ground.publish(
    [identity],
    Object.entries(authorities).map(([name, authority]) => bundleOf(name, authority)),
    new Map(accept.length === 0 ? [] : [['b.test', accept]]),
  );
}

/** Which of these IDs get in, each with a leaf of its trust domain's authority. */
async function letIn(...ids: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const id of ids) {
    const [, authority] = Object.entries(authorities).find(([name]) => id.startsWith(name)) ?? [];
    if (authority === undefined) throw new Error(`no authority for ${id}`);
    if (await ground.isLetIn(await issueLeaf(authority, `spiffe://${id}`))) found.push(id);
  }
  return found;
}

beforeEach(async () => {
  ground = await SdsGround.open();
  authorities = {
    'a.test': await issueAuthority('a.test'),
    'b.test': await issueAuthority('b.test'),
    'c.test': await issueAuthority('c.test'),
  };
});
afterEach(() => ground.close());

describe.each(['GRPC', 'DELTA_GRPC'])('Envoy over %s', (api) => {
  const over = (bootstrap: string): string =>
    withoutSanList(bootstrap).replace('api_type: GRPC', `api_type: ${api}`);

  it('holds ALL to what is accepted of one trust domain, and other domains to all of theirs', async () => {
    await publish('/payments/**', '/ledger');
    await (await ground.launch(over)).waitReady();
    const others = ['a.test/client', 'c.test/anything'];
    const within = ['b.test/payments', 'b.test/payments/x', 'b.test/payments/x/y', 'b.test/ledger'];
    const beyond = ['b.test/other', 'b.test/payments2', 'b.test/ledger/x', 'b.test/PAYMENTS/x'];
    expect(await letIn(...others, ...within, ...beyond)).toEqual([...others, ...within]);
    await publish('/ledger');
    await ground.takes('ALL', 2);
    expect(await letIn(...others, ...within)).toEqual([...others, 'b.test/ledger']);
    await publish();
    await ground.takes('ALL', 3);
    expect(await letIn(...others, ...within, ...beyond)).toEqual([...others, ...within, ...beyond]);
    expect(await ground.metric('trustplane_sds_withheld_contexts')).toBe(0);
  });

  it('holds the context of that trust domain alone to what is accepted', async () => {
    await publish('/payments/**');
    await (await ground.launch(over, 'spiffe://b.test')).waitReady();
    const ids = ['a.test/client', 'b.test/payments/x', 'b.test/other'];
    expect(await letIn(...ids)).toEqual(['b.test/payments/x']);
    await publish('/other');
    await ground.takes('spiffe://b.test', 2);
    expect(await letIn(...ids)).toEqual(['b.test/other']);
  });
});

describe.each(['GRPC', 'DELTA_GRPC'])('Envoy with a SAN list of its own, over %s', (api) => {
  const over = (bootstrap: string): string =>
    bootstrap.replace('api_type: GRPC', `api_type: ${api}`);
  const listing =
    (...ids: readonly string[]) =>
    (bootstrap: string) => {
      const list = ids.map((id) => `{ san_type: URI, matcher: { exact: "spiffe://${id}" } }`);
      return over(bootstrap).replace(
        TYPED_LIST,
        `match_typed_subject_alt_names: [${list.join()}]\n`,
      );
    };
  const ids = ['a.test/client', 'a.test/other', 'c.test/x', 'b.test/payments/x', 'b.test/other'];

  it('lets in those that its list names, whatever is accepted', async () => {
    const listed = ['a.test/client', 'b.test/payments/x'];
    await publish();
    await (await ground.launch(listing(...listed))).waitReady();
    expect(await letIn(...ids)).toEqual(listed);
    await publish('/payments/**');
    await ground.takes('ALL', 2);
    expect(await letIn(...ids)).toEqual(listed);
    expect(await ground.metric('trustplane_sds_nacks_total{resource="validation_context"}')).toBe(
      0,
    );
  });
});

describe('Envoy with disable_spiffe_cert_validation in its metadata', () => {
  const plain = (bootstrap: string): string =>
    bootstrap.replace('node:\n', 'node:\n  metadata: { disable_spiffe_cert_validation: true }\n');
  const ids = ['a.test/client', 'b.test/payments/x', 'b.test/ledger', 'b.test/other'];

  it('holds a trust domain to what is accepted of it (SDS-18)', async () => {
    await publish('/payments/**', '/ledger');
    const edit = (bootstrap: string): string => plain(withoutSanList(bootstrap));
    await (await ground.launch(edit, 'spiffe://b.test')).waitReady();
    expect(await letIn(...ids)).toEqual(['b.test/payments/x', 'b.test/ledger']);
    await publish('/other');
    await ground.takes('spiffe://b.test', 2);
    expect(await letIn(...ids)).toEqual(['b.test/other']);
  });

  it('is given nothing of it beside a SAN list of its own', async () => {
    await publish('/payments/**');
    await (await ground.launch(plain, 'spiffe://b.test')).waitReady();
    expect(await letIn(...ids)).toEqual([]);
  });
});

it('Envoy joins a list in the deprecated field, as the reference warns', async () => {
  await publish('/payments/**');
  const deprecated = (bootstrap: string): string =>
    bootstrap.replace(
      TYPED_LIST,
      'match_subject_alt_names: [{ exact: "spiffe://a.test/client" }]\n',
    );
  await (await ground.launch(deprecated)).waitReady();
  expect(await letIn('a.test/other', 'b.test/other', 'b.test/payments/x')).toEqual([
    'a.test/other',
    'b.test/payments/x',
  ]);
});
