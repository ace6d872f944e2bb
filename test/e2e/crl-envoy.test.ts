import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CrlPublisher, CrlRegistry } from '../../src/ca/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import {
  type Bundle,
  coverWithCrls,
  generateP256KeyPair,
  type Revocation,
  SpiffeId,
} from '../../src/spiffe/index.ts';
import { type CaWorld, createCaGround, startCa } from '../fakes/ca-world.ts';
import { FakeClock, settle } from '../fakes/fake-clock.ts';
import { textUpdate } from '../fakes/test-updates.ts';
import { SdsGround, withoutSanList } from '../programs/sds-ground.ts';

let ground: SdsGround;
let world: CaWorld;
const clock = new FakeClock(Date.now());
const closing: (() => Promise<void>)[] = [];

beforeEach(async () => {
  ground = await SdsGround.open();
  world = await startCa(createCaGround(clock));
});
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
  await world.close();
  await ground.close();
});

/** A leaf of the authority, as a caller shows it. */
async function issue(path: string, { ca }: Pick<CaWorld, 'ca'> = world) {
  const { publicKey, privateKey } = generateP256KeyPair();
  const spiffeId = SpiffeId.parse(`spiffe://a.test${path}`);
  const svid = await ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: 0, dnsNames: [] });
  const [der = new Uint8Array()] = svid.certificateChain;
  return { ...svid, spiffeId, certificate: { der }, key: privateKey };
}

/** The CRLs of the authority, with these serial numbers in them. */
async function revoke(...serials: readonly string[]): Promise<CrlRegistry> {
  const revoked = serials.map(
    (value): Revocation => ({
      id: value,
      kind: 'serial',
      value,
      reason: '',
      issuedBefore: clock.now() + 1,
      expiresAt: clock.now() + 3_600_000,
    }),
  );
  const { bucket, ca } = world;
  const common = { bucket, clock, log: silentLog };
  const registry = await CrlRegistry.load(common);
  const revocations = { list: () => revoked, watch: () => () => {} };
  const metrics = createMetrics();
  const publisher = new CrlPublisher({
    ...common,
    registry,
    ca,
    revocations,
    metrics,
    ledger: undefined,
  });
  await clock.advanceAsync(0);
  await publisher.settled();
  await settle();
  closing.push(
    () => registry.close(),
    () => publisher.close(),
  );
  return registry;
}

async function publish(own: Bundle, crls: readonly Uint8Array[]): Promise<void> {
  const server = await issue('/server');
  const identity = {
    entryId: 'server',
    spiffeId: server.spiffeId,
    hint: '',
    federatesWith: [],
    certificateChain: server.certificateChain,
    privateKey: server.key,
    notBefore: server.notBefore,
    expiresAt: server.expiresAt,
  };
  ground.source.publish({ ...textUpdate([identity], [own]), crls });
}

const ownBundle = (): Bundle => world.trustMap.current().own;

async function letIn(...leaves: readonly Awaited<ReturnType<typeof issue>>[]): Promise<boolean[]> {
  const found: boolean[] = [];
  for (const leaf of leaves) found.push(await ground.isLetIn(leaf));
  return found;
}

describe.each([
  ['the SPIFFE validator, over GRPC', 'GRPC', false],
  ['the SPIFFE validator, over DELTA_GRPC', 'DELTA_GRPC', false],
  ['a plain trusted_ca', 'GRPC', true],
])('Envoy with %s', (_, api, isPlain) => {
  const edit = (bootstrap: string): string => {
    const text = withoutSanList(bootstrap).replace('api_type: GRPC', `api_type: ${api}`);
    return isPlain
      ? text.replace(/^node:\n/mu, 'node:\n  metadata: { disable_spiffe_cert_validation: true }\n')
      : text;
  };

  it('refuses who is in the CRL in the handshake, and serves others (SDS-19)', async () => {
    const [bad, good] = [await issue('/bad'), await issue('/good')];
    await publish(ownBundle(), []);
    await (await ground.launch(edit)).waitReady();
    expect(await letIn(bad, good)).toEqual([true, true]);
    const registry = await revoke(bad.serialNumber);
    const { crls } = coverWithCrls(ownBundle(), registry.list(), clock.now());
    expect(crls).toHaveLength(1);
    await publish(
      ownBundle(),
      crls.map(({ der }) => der),
    );
    await ground.takes('ALL', 2);
    expect(await letIn(bad, good)).toEqual([false, true]);
    await publish(ownBundle(), []);
    await ground.takes('ALL', 3);
    expect(await letIn(bad, good)).toEqual([true, true]);
    expect(await ground.metric('trustplane_sds_nacks_total{resource="validation_context"}')).toBe(
      0,
    );
  });

  it('serves all below a bundle of which one authority has no CRL: it has none at all (SDS-19)', async () => {
    const other = await startCa(createCaGround(clock));
    closing.push(() => other.close());
    const [bad, good, below] = [
      await issue('/bad'),
      await issue('/good'),
      await issue('/x', other),
    ];
    const x509Authorities = [
      ...ownBundle().x509Authorities,
      ...other.trustMap.current().own.x509Authorities,
    ];
    const both = { ...ownBundle(), x509Authorities };
    const registry = await revoke(bad.serialNumber);
    const { crls, fault } = coverWithCrls(both, registry.list(), clock.now());
    expect(crls).toEqual([]);
    expect(fault).toMatch(/has no CRL/u);
    await publish(
      both,
      crls.map(({ der }) => der),
    );
    await (await ground.launch(edit)).waitReady();
    expect(await letIn(bad, good, below)).toEqual([true, true, true]);
    // What it would be otherwise.
    await publish(
      both,
      registry.list().map(({ der }) => der),
    );
    await ground.takes('ALL', 2);
    expect(await letIn(bad, good, below)).toEqual([false, true, false]);
  });
});
