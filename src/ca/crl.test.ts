import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type CaWorld,
  createCaGround,
  startCa,
  testWorkloadId,
} from '../../test/fakes/ca-world.ts';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { X509Certificate, X509Crl } from '../../test/oracles/x509.ts';
import { runProgram } from '../../test/programs/run-program.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import {
  coverWithCrls,
  encodePem,
  generateP256KeyPair,
  type IssuedRecord,
  parseCertificate,
  parseCrl,
  type Revocation,
} from '../spiffe/index.ts';
import { CrlPublisher } from './crl-publisher.ts';
import { CrlRegistry } from './crl-registry.ts';
import { writeCrlEntries } from './crl-writer.ts';
import type { KeyType } from './key-manager.ts';
import type { X509CaOptions } from './x509-ca-options.ts';

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** What a server signed, as its ledger would tell. */
class FakeLedger {
  readonly records: IssuedRecord[] = [];
  reads = 0;
  fault: Error | undefined;

  async *issuedSince(instant: number): AsyncGenerator<IssuedRecord> {
    this.reads++;
    if (this.fault !== undefined) throw this.fault;
    for (const record of this.records) if (record.issuedAt >= instant) yield record;
  }
}

async function start(
  clock: FakeClock = new FakeClock(Date.now()),
  options: Partial<X509CaOptions> = {},
) {
  const world = await startCa(createCaGround(clock), options);
  closing.push(() => world.close());
  return await startOver(world);
}

/** CRLs over a CA that runs. */
async function startOver(
  world: CaWorld,
  ledger: FakeLedger = new FakeLedger(),
  revoked: Revocation[] = [],
) {
  const { bucket, clock, ca } = world;
  const registry = await CrlRegistry.load({ bucket, clock, log: silentLog });
  const listeners = new Set<() => void>();
  const publisher = new CrlPublisher({
    bucket,
    registry,
    ca,
    ledger,
    revocations: {
      list: () => revoked,
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    clock,
    log: silentLog,
    metrics: createMetrics(),
  });
  closing.push(
    () => registry.close(),
    () => publisher.close(),
  );
  const run = async (ms = 0): Promise<void> => {
    await clock.advanceAsync(ms);
    await publisher.settled();
    await settle();
  };
  await run();
  return {
    ...world,
    world,
    registry,
    publisher,
    ledger,
    revoked,
    run,
    revoke(fields: Pick<Revocation, 'kind' | 'value'> & Partial<Revocation>) {
      const id = `${fields.kind}.${fields.value}`;
      const now = clock.now();
      revoked.push({
        id,
        issuedBefore: now + 1,
        expiresAt: now + 86_400_000,
        reason: '',
        ...fields,
      });
      for (const listener of listeners) listener();
    },
    async issue(spiffeId = testWorkloadId, more: Partial<IssuedRecord> = {}) {
      const { publicKey } = generateP256KeyPair();
      const svid = await ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: 0, dnsNames: [] });
      const authorityId = Buffer.from(
        parseCertificate(svid.certificateChain[0] ?? new Uint8Array()).authorityKeyId ?? [],
      ).toString('hex');
      ledger.records.push({
        serialNumber: svid.serialNumber,
        spiffeId: spiffeId.toString(),
        entryId: undefined,
        agentId: undefined,
        authorityId,
        issuedAt: clock.now(),
        expiresAt: svid.expiresAt,
        purpose: 'workload',
        ...more,
      });
      return svid;
    },
    sole() {
      const [kept] = registry.all();
      if (kept === undefined) throw new Error('there is no CRL');
      return kept.crl;
    },
    own: () => world.trustMap.current().own,
  };
}

const serialsIn = (der: Uint8Array): string[] =>
  new X509Crl(Uint8Array.from(der)).entries.map(({ serialNumber }) => serialNumber.toLowerCase());

describe('a CRL', () => {
  it.each<KeyType>(['ec-p256', 'ec-p384', 'rsa-2048'])(
    'of an authority of type %s is taken by OpenSSL, which refuses whom it names alone (X509-5, RA-13)',
    async (keyType) => {
      const ground = await start(new FakeClock(Date.now()), { keyType });
      const [bad, good] = [await ground.issue(), await ground.issue()];
      ground.revoke({ kind: 'serial', value: bad.serialNumber, reason: 'keyCompromise: stolen' });
      await ground.run(20_000);
      const folder = await mkdtemp(path.join(tmpdir(), 'tp-crl-'));
      closing.push(() => rm(folder, { recursive: true, force: true }));
      const file = async (name: string, label: string, der: Uint8Array | undefined) => {
        const place = path.join(folder, name);
        await writeFile(place, encodePem(label, der ?? new Uint8Array()));
        return place;
      };
      const ca = await file('ca.pem', 'CERTIFICATE', ground.own().x509Authorities[0]?.certificate);
      const crl = await file('crl.pem', 'X509 CRL', ground.sole().der);
      const asked = await runProgram('openssl', [
        'crl',
        '-in',
        crl,
        '-noout',
        '-text',
        '-verify',
        '-CAfile',
        ca,
      ]);
      expect(`${asked.stdout}${asked.stderr}`).toMatch(/verify OK/u);
      expect(asked.stdout).toMatch(/Key Compromise/u);
      expect(asked.stdout).toMatch(/X509v3 CRL Number/u);
      const verify = async (name: string, leaf: Uint8Array | undefined) =>
        await runProgram('openssl', [
          'verify',
          '-x509_strict',
          '-crl_check_all',
          '-CRLfile',
          crl,
          '-CAfile',
          ca,
          await file(name, 'CERTIFICATE', leaf),
        ]);
      expect(await verify('good.pem', good.certificateChain[0])).toMatchObject({ code: 0 });
      const refused = await verify('bad.pem', bad.certificateChain[0]);
      expect(refused.code).not.toBe(0);
      expect(refused.stderr).toMatch(/certificate revoked/u);
    },
  );

  it('is what @peculiar/x509 reads and verifies, in order of the serial numbers', async () => {
    const ground = await start();
    const value = ['ff', '0100', '80'];
    for (const serial of value) ground.revoke({ kind: 'serial', value: serial });
    await ground.run(20_000);
    const crl = new X509Crl(Uint8Array.from(ground.sole().der));
    expect(serialsIn(ground.sole().der)).toEqual(['80', 'ff', '0100']);
    const authority = ground.own().x509Authorities[0]?.certificate ?? new Uint8Array();
    const issuer = new X509Certificate(Uint8Array.from(authority));
    expect(await crl.verify({ publicKey: issuer.publicKey })).toBe(true);
  });

  it('is written the same, whatever the order, and names each once', () => {
    const entries = ['0a', '0b', 'A'].map((serialNumber) => ({
      serialNumber,
      revokedAt: 1_000_000,
      reason: 'superseded' as const,
    }));
    expect(writeCrlEntries(entries)).toEqual(writeCrlEntries(entries.toReversed()));
    expect(writeCrlEntries([])).toHaveLength(0);
  });
});

describe('what a CRL names', () => {
  it('is what was issued to the subject before the instant, by the ledger', async () => {
    const ground = await start();
    const [first, second] = [
      await ground.issue(testWorkloadId, {
        entryId: 'e1',
        agentId: 'spiffe://a.test/spire/agent/x',
      }),
      await ground.issue(testWorkloadId, { entryId: 'e2', spiffeId: 'spiffe://a.test/other' }),
    ];
    ground.revoke({ kind: 'spiffe-id', value: testWorkloadId.toString() });
    await ground.run(1);
    const later = await ground.issue();
    await ground.run(30_000);
    expect(serialsIn(ground.sole().der)).toEqual([first.serialNumber]);
    ground.revoke({ kind: 'entry', value: 'e2', issuedBefore: ground.clock.now() });
    await ground.run(30_000);
    expect(serialsIn(ground.sole().der).sort()).toEqual(
      [first.serialNumber, second.serialNumber].sort(),
    );
    expect(serialsIn(ground.sole().der)).not.toContain(later.serialNumber);
  });

  it('is also what was being signed when the revocation came', async () => {
    const ground = await start();
    await ground.run(30_000);
    ground.revoke({
      kind: 'spiffe-id',
      value: testWorkloadId.toString(),
      issuedBefore: ground.clock.now() + 500,
    });
    await ground.run(200);
    const { reads } = ground.ledger;
    expect(reads).toBe(1);
    const late = await ground.issue();
    await ground.run(30_000);
    expect(ground.ledger.reads).toBe(2);
    expect(serialsIn(ground.sole().der)).toEqual([late.serialNumber]);
    await ground.run(3_600_000 / 2);
    expect(ground.ledger.reads).toBe(2);
  });

  it('stays while the ledger cannot be read, and goes when it has expired', async () => {
    const ground = await start();
    const { serialNumber } = await ground.issue();
    ground.revoke({ kind: 'spiffe-id', value: testWorkloadId.toString() });
    await ground.run(30_000);
    const { number } = ground.sole();
    // Another life of the server, which knows nothing any more.
    await ground.publisher.close();
    ground.ledger.fault = new Error('the disk is away');
    const next = await startOver(ground.world, ground.ledger, ground.revoked);
    await next.run(30_000);
    expect(serialsIn(next.sole().der)).toEqual([serialNumber]);
    ground.ledger.fault = undefined;
    await next.run(30_000);
    expect(next.sole().number).toBe(number);
    await next.run(4_000_000);
    expect(next.sole().count).toBe(0);
    expect(next.sole().number).toBeGreaterThan(number);
  });
});

describe('CRLs of a control plane', () => {
  it('end after their authority, begin before now, and are there before the bundle has a new one', async () => {
    const ground = await start();
    const [issuer] = ground.ca.crlIssuers();
    const crl = ground.sole();
    expect(crl.nextUpdate).toBeGreaterThan((issuer?.notAfter ?? 0) + 80_000_000);
    expect(crl.thisUpdate).toBeLessThanOrEqual(ground.clock.now() - 3_500_000);
    await ground.ca.prepare();
    await ground.run();
    const ids = ground.registry.all().map(({ crl: each }) => each.authorityId);
    expect(ids.sort()).toEqual(
      ground.ca
        .crlIssuers()
        .map(({ authorityId }) => authorityId)
        .sort(),
    );
    expect(ids).toHaveLength(2);
  });

  it('have numbers that rise, although what was kept is lost or damaged', async () => {
    const ground = await start();
    const before = ground.sole();
    const key = `crl.${before.authorityId}`;
    await ground.bucket.put(key, Buffer.from('{}'));
    await ground.run();
    expect(ground.registry.all()).toEqual([]);
    ground.revoke({ kind: 'serial', value: '77' });
    await ground.run(30_000);
    expect(ground.sole().number).toBeGreaterThan(before.number);
  });

  it('are withheld for good once an authority is to stand below', async () => {
    const ground = await start();
    ground.revoke({ kind: 'serial', value: '77' });
    await ground.run(30_000);
    expect(ground.registry.list()).toHaveLength(1);
    await ground.publisher.withhold();
    await ground.run();
    expect(ground.registry.list()).toEqual([]);
    expect(ground.registry.all()).toMatchObject([{ isWithheld: true }]);
    const { publisher } = ground;
    await publisher.close();
    const next = await startOver(ground.world, ground.ledger, ground.revoked);
    next.revoke({ kind: 'serial', value: '78' });
    await next.run(30_000);
    expect(next.registry.all()).toMatchObject([{ isWithheld: true, crl: { count: 2 } }]);
  });

  it('name at most 5,000 certificates, those that end last', async () => {
    const ground = await start();
    const now = ground.clock.now();
    for (let each = 0; each < 5_100; each++) {
      ground.revoked.push({
        id: `${each}`,
        kind: 'serial',
        value: (0x10000 + each).toString(16),
        issuedBefore: now + 1,
        expiresAt: now + 86_400_000 + each,
        reason: '',
      });
    }
    ground.revoke({ kind: 'serial', value: 'abcdef', expiresAt: now + 100_000 });
    await ground.run(30_000);
    expect(ground.sole().count).toBe(5_000);
    expect(parseCrl(ground.sole().der).count).toBe(5_000);
    expect(Buffer.from(ground.sole().der).includes(Buffer.from('abcdef', 'hex'))).toBe(false);
  });

  it('cover a bundle whole or not at all, by whom they name, now (SDS-19)', async () => {
    const ground = await start();
    const now = (): number => ground.clock.now();
    expect(coverWithCrls(ground.own(), ground.registry.list(), now()).crls).toEqual([]);
    ground.revoke({ kind: 'serial', value: '77' });
    await ground.run(30_000);
    const list = ground.registry.list();
    expect(coverWithCrls(ground.own(), list, now())).toMatchObject({
      crls: list,
      fault: undefined,
    });
    const [crl] = list;
    const tampered = {
      ...ground.sole(),
      signature: Uint8Array.from(crl?.signature ?? [], (octet) => octet ^ 1),
    };
    for (const bad of [
      [],
      [tampered],
      [{ ...ground.sole(), thisUpdate: now() + 1 }],
      [{ ...ground.sole(), nextUpdate: now() + 60_000 }],
    ]) {
      const other = await startCa();
      closing.push(() => other.close());
      expect(coverWithCrls(ground.own(), bad, now()).crls).toEqual([]);
      const authorities = [
        ...ground.own().x509Authorities,
        ...other.trustMap.current().own.x509Authorities,
      ];
      const both = { ...ground.own(), x509Authorities: authorities };
      const cover = coverWithCrls(both, list, now());
      // The other one has ended, or it would take them all away.
      const isOver = other.ca.crlIssuers().every(({ notAfter }) => notAfter < now());
      expect(cover.crls).toEqual(isOver ? list : []);
    }
  });
});
