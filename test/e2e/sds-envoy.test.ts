import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Bundle, X509Identity } from '../../src/spiffe/index.ts';
import { bundleOf, type TestCertificate } from '../fakes/test-certificates.ts';
import { eventually } from '../programs/eventually.ts';
import type { RunningEnvoy } from '../programs/launch-envoy.ts';
import {
  issueAuthority,
  issueLeaf,
  type Leaf,
  SdsGround,
  serverIdentity,
  withoutSanList,
} from '../programs/sds-ground.ts';

const SERVER_ID = 'spiffe://a.test/server';

let ground: SdsGround;
let a: TestCertificate;
let b: TestCertificate;

const publish = (identities: readonly X509Identity[], ...bundles: readonly Bundle[]): void =>
  void ground.publish(identities, bundles);
const start = (edit: (bootstrap: string) => string): Promise<RunningEnvoy> => ground.launch(edit);
const isLetIn = (leaf: Leaf): Promise<boolean> => ground.isLetIn(leaf);
const metric = (name: string): Promise<number> => ground.metric(name);

beforeEach(async () => {
  ground = await SdsGround.open();
  [a, b] = await Promise.all([issueAuthority('a.test'), issueAuthority('b.test')]);
});

afterEach(() => ground.close());

describe.each(['GRPC', 'DELTA_GRPC'])('Envoy over %s', (api) => {
  const launch = (): Promise<RunningEnvoy> =>
    start((text) => withoutSanList(text).replace('api_type: GRPC', `api_type: ${api}`));

  it('waits for its entry, then trusts each domain for its own IDs only (SDS-9, SDS-16, F14)', async () => {
    const running = await launch();
    await eventually('both names wait', async () =>
      (await metric('trustplane_sds_waiting_names')) === 2 ? true : undefined,
    );
    const c = await issueAuthority('c.test');
    const issuers = { 'a.test': a, 'b.test': b, 'c.test': c };
    publish(
      [serverIdentity(await issueLeaf(a, SERVER_ID))],
      ...Object.entries(issuers).map(([name, issuer]) => bundleOf(name, issuer)),
    );
    await running.waitReady();
    for (const [name, issuer] of Object.entries(issuers))
      for (const claimed of Object.keys(issuers))
        expect([
          name,
          claimed,
          await isLetIn(await issueLeaf(issuer, `spiffe://${claimed}/client`)),
        ]).toEqual([name, claimed, name === claimed]);
  });

  it('refuses a key that does not match, keeps the last good, and is not asked again (SDS-4, SDS-15, F8)', async () => {
    const good = await issueLeaf(a, SERVER_ID);
    const bad = { certificate: (await issueLeaf(a, SERVER_ID)).certificate, key: good.key };
    publish([serverIdentity(good)], bundleOf('a.test', a));
    const running = await launch();
    await running.waitReady();
    publish([serverIdentity(bad)], bundleOf('a.test', a));
    const refusals = async (resource: string): Promise<number> =>
      await metric(`trustplane_sds_nacks_total{resource="${resource}"}`);
    const refuses = (resource: string): Promise<number> =>
      eventually(
        `Envoy refuses the ${resource}`,
        async () => (await refusals(resource)) || undefined,
      );
    await refuses('tls_certificate');
    expect(await isLetIn(await issueLeaf(a, 'spiffe://a.test/client'))).toBe(true);
    // Envoy builds a TLS context of all its secrets, so it refuses a good one beside the bad one too,
    // but remembers it.
    const next = await issueAuthority('a.test');
    publish([serverIdentity(bad)], bundleOf('a.test', a, next));
    await refuses('validation_context');
    publish([serverIdentity(await issueLeaf(a, SERVER_ID))], bundleOf('a.test', a, next));
    await ground.takes(SERVER_ID, 2);
    expect(await isLetIn(await issueLeaf(next, 'spiffe://a.test/client'))).toBe(true);
    expect(await refusals('tls_certificate')).toBe(1);
    expect(await refusals('validation_context')).toBe(1);
  });

  it('refuses a domain that has no authority left, and everybody once the entry is gone (SDS-13, SDS-17)', async () => {
    const [own, foreign] = await Promise.all([
      issueLeaf(a, 'spiffe://a.test/client'),
      issueLeaf(b, 'spiffe://b.test/client'),
    ]);
    const identity = serverIdentity(await issueLeaf(a, SERVER_ID));
    publish([identity], bundleOf('a.test', a), bundleOf('b.test', b));
    const running = await launch();
    await running.waitReady();
    expect(await isLetIn(foreign)).toBe(true);
    publish([identity], bundleOf('a.test', a), bundleOf('b.test'));
    await ground.takes('ALL', 2);
    expect([await isLetIn(own), await isLetIn(foreign)]).toEqual([true, false]);
    publish([identity], bundleOf('a.test'), bundleOf('b.test'));
    await ground.takes('ALL', 3);
    expect(await isLetIn(own)).toBe(false);
    publish([identity], bundleOf('a.test', a));
    await ground.takes('ALL', 4);
    expect(await isLetIn(own)).toBe(true);
    publish([], bundleOf('a.test', a));
    await ground.takes('ALL', 5);
    expect(await isLetIn(own)).toBe(false);
    expect(await metric('trustplane_sds_nacks_total{resource="validation_context"}')).toBe(0);
  });

  it('goes on through a restart of the agent, whatever the agent knows at first', async () => {
    const own = await issueLeaf(a, 'spiffe://a.test/client');
    const identity = serverIdentity(await issueLeaf(a, SERVER_ID));
    publish([identity], bundleOf('a.test', a));
    await (await launch()).waitReady();
    await ground.restart();
    await eventually('Envoy is back', () => (ground.source.attached === 2 ? true : undefined));
    expect(await isLetIn(own)).toBe(true);
    publish([identity], bundleOf('a.test', a));
    const sent = await metric('trustplane_sds_resources_total{resource="tls_certificate"}');
    expect(sent).toBe(api === 'GRPC' ? 1 : 0);
    expect(await isLetIn(own)).toBe(true);
  });
});

describe('Envoy with disable_spiffe_cert_validation in its metadata', () => {
  const plain = (bootstrap: string): string =>
    bootstrap.replace('node:\n', 'node:\n  metadata: { disable_spiffe_cert_validation: true }\n');

  it('trusts the own domain for its own IDs only (SDS-18)', async () => {
    publish(
      [serverIdentity(await issueLeaf(a, SERVER_ID))],
      bundleOf('a.test', a),
      bundleOf('b.test', b),
    );
    await (await start((text) => plain(withoutSanList(text)))).waitReady();
    expect(await isLetIn(await issueLeaf(a, 'spiffe://a.test/client'))).toBe(true);
    expect(await isLetIn(await issueLeaf(a, 'spiffe://b.test/client'))).toBe(false);
    expect(await isLetIn(await issueLeaf(b, 'spiffe://b.test/client'))).toBe(false);
  });

  it('adds the whole own domain to a SAN list of its own, as the reference warns', async () => {
    publish([serverIdentity(await issueLeaf(a, SERVER_ID))], bundleOf('a.test', a));
    await (await start(plain)).waitReady();
    expect(await isLetIn(await issueLeaf(a, 'spiffe://a.test/other'))).toBe(true);
  });
});
