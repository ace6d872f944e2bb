import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { FakeTrustMap } from '../../test/fakes/fake-trust-map.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import type { X509CaStatus } from '../ca/index.ts';
import { type Bundle, emptyBundle, TrustDomain } from '../spiffe/index.ts';
import type { GrpcService } from '../wire/index.ts';
import { type AdminServiceOptions, createAdminService } from './admin-service.ts';
import { createBundleService } from './bundle-service.ts';
import { requireAdmin } from './require-admin.ts';

const bundle: Bundle = {
  trustDomain: testTrustDomain,
  x509Authorities: [{ certificate: Uint8Array.of(48, 0), tainted: true }],
  jwtAuthorities: [
    { publicKey: Uint8Array.of(48, 1), keyId: 'k', expiresAt: 5_000, tainted: false },
  ],
  witAuthorities: [],
  sequenceNumber: 2n ** 64n - 1n,
  refreshHintSeconds: 60,
};

const caStatus: X509CaStatus = {
  health: 'ok',
  canSign: true,
  authorities: [
    {
      authorityId: 'ab',
      state: 'active',
      issuedAt: 1_500,
      notBefore: 1_000,
      notAfter: 9_000,
      isPublished: true,
    },
  ],
  nextStep: 'none',
  nextStepAt: 0,
  failure: undefined,
};

function admin(more: Partial<AdminServiceOptions> = {}): GrpcService {
  const clock = new FakeClock();
  return createAdminService({
    version: '1.2.3',
    trustDomain: testTrustDomain,
    clock,
    startedAt: clock.now() - 61_500,
    entries: { count: () => 7 },
    ca: { status: () => caStatus },
    checks: () => [],
    ...more,
  });
}

describe('Bundle', () => {
  it('shows the own bundle whole', async () => {
    const call = await serveForTest(createBundleService({ trustMap: new FakeTrustMap(bundle) }));
    expect(await call('GetBundle')).toEqual({
      trust_domain: 'a.test',
      x509_authorities: [{ asn1: Buffer.of(48, 0), tainted: true }],
      jwt_authorities: [
        { public_key: Buffer.of(48, 1), key_id: 'k', expires_at: '5', tainted: false },
      ],
      wit_authorities: [],
      refresh_hint: '60',
      sequence_number: '18446744073709551615',
    });
  });

  it('shows the masked fields alone', async () => {
    const call = await serveForTest(createBundleService({ trustMap: new FakeTrustMap(bundle) }));
    expect(await call('GetBundle', { output_mask: { refresh_hint: true } })).toEqual({
      trust_domain: 'a.test',
      x509_authorities: [],
      jwt_authorities: [],
      wit_authorities: [],
      refresh_hint: '60',
    });
  });

  it('counts the own bundle and the federated ones', async () => {
    const map = new FakeTrustMap(bundle);
    const call = await serveForTest(createBundleService({ trustMap: map }));
    expect(await call('CountBundles')).toEqual({ count: 1 });
    map.set(bundle, emptyBundle(TrustDomain.parse('b.test')));
    expect(await call('CountBundles')).toEqual({ count: 2 });
  });
});

describe('Admin', () => {
  it('shows how the process is', async () => {
    const call = await serveForTest(
      admin({ checks: () => [{ name: 'ca', fault: undefined, isReady: true }] }),
    );
    expect(await call('GetStatus')).toEqual({
      version: '1.2.3',
      trust_domain: 'a.test',
      uptime_seconds: '61',
      entries_count: '7',
      x509_authorities: [
        {
          slot: 'SLOT_ACTIVE',
          authority_id: 'ab',
          not_before: '1',
          expires_at: '9',
          published: true,
        },
      ],
      healthy: true,
      checks: [{ name: 'ca', healthy: true, message: '' }],
    });
  });

  it('names what is not well', async () => {
    const checks = [
      { name: 'ca', fault: undefined, isReady: true },
      { name: 'rotation', fault: 'no key', isReady: true },
      { name: 'store', fault: 'read-only', isReady: false },
    ];
    const call = await serveForTest(admin({ checks: () => checks }));
    expect(await call('GetStatus')).toMatchObject({
      healthy: false,
      checks: [
        { name: 'ca', healthy: true, message: '' },
        { name: 'rotation', healthy: false, message: 'no key' },
        { name: 'store', healthy: false, message: 'read-only' },
      ],
    });
  });
});

describe('requireAdmin', () => {
  const own = process.getuid?.() ?? -1;

  it('admits the own user, whom the kernel names', async () => {
    const call = await serveForTest(requireAdmin(admin(), own));
    expect(await call('GetStatus')).toMatchObject({ version: '1.2.3' });
  });

  it('admits root', async () => {
    const call = await serveForTest(requireAdmin(admin(), 1000, () => 0));
    expect(await call('GetStatus')).toMatchObject({ version: '1.2.3' });
  });

  it('refuses anybody else', async () => {
    const call = await serveForTest(requireAdmin(admin(), 1000, () => 1001));
    const refusal = {
      code: status.PERMISSION_DENIED,
      details: expect.stringContaining('user 1001'),
    };
    await expect(call('GetStatus')).rejects.toEqual(expect.objectContaining(refusal));
  });

  it('guards every method', () => {
    const guarded = requireAdmin(
      createBundleService({ trustMap: new FakeTrustMap(bundle) }),
      1000,
      () => 1001,
    );
    expect(Object.keys(guarded.implementation)).toEqual(['CountBundles', 'GetBundle']);
    for (const handler of Object.values(guarded.implementation)) {
      expect(() => Reflect.apply(handler, undefined, [{}, () => {}])).toThrow('user 1001');
    }
  });
});
