import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import type { CaStatus } from '../ca/index.ts';
import type { GrpcService } from '../wire/index.ts';
import { type AdminServiceOptions, createAdminService } from './admin-service.ts';
import { requireAdmin } from './require-admin.ts';

const caStatus: CaStatus = {
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
      isTainted: false,
    },
  ],
  nextStep: 'prepare',
  nextStepAt: 0,
  gate: undefined,
  alarm: undefined,
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
    const guarded = requireAdmin(admin(), 1000, () => 1001);
    expect(Object.keys(guarded.implementation)).toEqual(['GetStatus']);
    for (const handler of Object.values(guarded.implementation)) {
      expect(() => Reflect.apply(handler, undefined, [{}, () => {}])).toThrow('user 1001');
    }
  });
});
