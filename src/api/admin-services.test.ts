import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import type { AuthorityStatus, CaStatus } from '../ca/index.ts';
import type { GrpcService } from '../wire/index.ts';
import { type AdminServiceOptions, createAdminService } from './admin-service.ts';
import { requireAdmin } from './require-admin.ts';

const active: AuthorityStatus = {
  authorityId: 'ab',
  state: 'active',
  issuedAt: 1_500,
  notBefore: 1_000,
  notAfter: 9_000,
  isPublished: true,
  isTainted: false,
};
const shownActive = {
  slot: 'SLOT_ACTIVE',
  authority_id: 'ab',
  not_before: '1',
  expires_at: '9',
  published: true,
  tainted: false,
};
const caStatus: CaStatus = {
  health: 'ok',
  canSign: true,
  authorities: [active],
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
    bundleEndpoint: undefined,
    entries: { count: () => 7 },
    ca: { status: () => caStatus, activate: async () => active },
    jwtCa: { status: () => caStatus, activate: async () => active },
    checks: () => [],
    ...more,
  });
}

describe('Admin', () => {
  it('shows how the process is', async () => {
    const call = await serveForTest(
      admin({ checks: () => [{ name: 'ca', fault: undefined, isReady: true, detail: 'on disk' }] }),
    );
    expect(await call('GetStatus')).toEqual({
      version: '1.2.3',
      trust_domain: 'a.test',
      uptime_seconds: '61',
      entries_count: '7',
      x509_authorities: [shownActive],
      jwt_authorities: [shownActive],
      healthy: true,
      checks: [{ name: 'ca', healthy: true, message: '', detail: 'on disk' }],
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

describe('Admin, on rotation', () => {
  const laggard = { who: 'spiffe://a.test/spire/agent/x/1', why: 'has not confirmed' };

  it('shows each kind with what is due next', async () => {
    const call = await serveForTest(admin());
    const rotation = {
      authorities: [shownActive],
      next_step: 'STEP_PREPARE',
      next_step_at: '0',
      failure: '',
    };
    expect(await call('GetRotationStatus')).toEqual({
      rotations: [
        { kind: 'AUTHORITY_KIND_X509', ...rotation },
        { kind: 'AUTHORITY_KIND_JWT', ...rotation },
      ],
    });
  });

  it('names who is behind, a hundred of them, and what failed', async () => {
    const behind = Array.from({ length: 101 }, () => laggard);
    const status: CaStatus = {
      ...caStatus,
      nextStep: 'activate',
      nextStepAt: 7_000,
      gate: { isOpen: false, behind, opensAt: 8_000 },
      alarm: { authorityId: 'ab', at: 3_000, behind: [laggard] },
      failure: { count: 2, at: 4_000, error: new Error('disk full') },
    };
    const activate = async () => active;
    const call = await serveForTest(admin({ ca: { status: () => status, activate } }));
    expect(await call('GetRotationStatus')).toMatchObject({
      rotations: [
        {
          next_step: 'STEP_ACTIVATE',
          next_step_at: '7',
          gate: {
            open: false,
            behind: behind.slice(0, 100),
            behind_count: 101,
            opens_at: '8',
          },
          alarm: { authority_id: 'ab', at: '3', behind: [laggard], behind_count: 1 },
          failure: 'disk full',
        },
        { failure: '' },
      ],
    });
  });

  it('activates an authority of the kind that is named, by force only where that is asked', async () => {
    const asked: unknown[] = [];
    const activate = async (...args: readonly unknown[]) => {
      asked.push(args);
      return active;
    };
    const call = await serveForTest(admin({ jwtCa: { status: () => caStatus, activate } }));
    const request = { kind: 'AUTHORITY_KIND_JWT', authority_id: 'ab' };
    expect(await call('ActivateAuthority', request)).toEqual({ authority: shownActive });
    await call('ActivateAuthority', { ...request, force: true });
    expect(asked).toEqual([
      ['ab', { force: false }],
      ['ab', { force: true }],
    ]);
  });

  it.each([
    ['kind', { authority_id: 'ab' }],
    ['authority_id', { kind: 'AUTHORITY_KIND_X509' }],
  ])('refuses to activate without %s', async (field, request) => {
    const call = await serveForTest(admin());
    await expect(call('ActivateAuthority', request)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(`${field}: `),
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
    expect(Object.keys(guarded.implementation)).toEqual([
      'GetStatus',
      'GetRotationStatus',
      'ActivateAuthority',
    ]);
    for (const handler of Object.values(guarded.implementation)) {
      expect(() => Reflect.apply(handler, undefined, [{}, () => {}])).toThrow('user 1001');
    }
  });
});
