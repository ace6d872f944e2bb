import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import { describe, expect, it, onTestFinished } from 'vitest';
import { serveForTest } from '../../test/fakes/admin-socket.ts';
import { startCa, testTrustDomain } from '../../test/fakes/ca-world.ts';
import { createJwtCa } from '../ca/index.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { createLocalAuthorityService } from './local-authority-service.ts';

interface State {
  readonly authority_id: string;
  readonly expires_at: string;
  readonly upstream_authority_subject_key_id: string;
}

interface Slots {
  readonly active?: State;
  readonly prepared?: State;
  readonly old?: State;
}

/** Over real authorities of both kinds. */
async function open() {
  const world = await startCa();
  onTestFinished(() => world.close());
  const jwtCa = await createJwtCa({
    ...world,
    trustDomain: testTrustDomain,
    serverId: 's1',
    ownBundle: world.ownBundle.publisherFor('s1'),
    random: randomBytes,
    log: silentLog,
    metrics: createMetrics(),
  });
  onTestFinished(() => jwtCa.close());
  const answer = await serveForTest(
    createLocalAuthorityService({ ca: world.ca, jwtCa, upstream: undefined }),
  );
  const call = async (method: string, request: object = {}): Promise<Record<string, State>> =>
    Object(await answer(method, request));
  const slots = async (kind: string): Promise<Slots> =>
    Object(await answer(`Get${kind}AuthorityState`));
  return { ...world, jwtCa, call, slots };
}

describe.each(['X509', 'JWT'])('LocalAuthority for %s', (kind) => {
  it('replaces an authority: prepare, activate, taint, revoke', async () => {
    const { call, slots, clock, ca } = await open();
    const first = await slots(kind);
    expect(Object.keys(first)).toEqual(['active']);
    const former = first.active?.authority_id ?? '';
    const { prepared_authority: prepared } = await call(`Prepare${kind}Authority`);
    expect(await slots(kind)).toEqual({ ...first, prepared });
    const next = { authority_id: prepared?.authority_id ?? '' };
    await clock.advanceAsync(600_000);
    expect(await call(`Activate${kind}Authority`, next)).toEqual({ activated_authority: prepared });
    expect(await slots(kind)).toEqual({ active: prepared, old: first.active });
    const old = { authority_id: former };
    expect(await call(`Taint${kind}Authority`, old)).toEqual({ tainted_authority: first.active });
    expect(await call(`Revoke${kind}Authority`, old)).toEqual({ revoked_authority: first.active });
    expect(await slots(kind)).toEqual({ active: prepared });
    expect(ca.status().authorities).toHaveLength(1);
  });

  it('shows of several old ones the one that signed last', async () => {
    const { call, slots, clock } = await open();
    let signedLast = '';
    for (let round = 0; round < 3; round++) {
      signedLast = (await slots(kind)).active?.authority_id ?? '';
      const { prepared_authority: prepared } = await call(`Prepare${kind}Authority`);
      await clock.advanceAsync(600_000);
      await call(`Activate${kind}Authority`, { authority_id: prepared?.authority_id });
    }
    expect((await slots(kind)).old?.authority_id).toBe(signedLast);
  });

  it('refuses what the slot does not allow, with a status of its own for each mistake', async () => {
    const { call, slots } = await open();
    const { active } = await slots(kind);
    const ofActive = { authority_id: active?.authority_id };
    const refusal = (code: status, text: string) =>
      expect.objectContaining({ code, details: expect.stringContaining(text) });
    for (const verb of ['Taint', 'Revoke']) {
      await expect(call(`${verb}${kind}Authority`, ofActive)).rejects.toEqual(
        refusal(status.FAILED_PRECONDITION, 'prepare and activate another one first'),
      );
    }
    for (const verb of ['Activate', 'Taint', 'Revoke']) {
      await expect(call(`${verb}${kind}Authority`)).rejects.toEqual(
        refusal(status.INVALID_ARGUMENT, 'authority_id: expected one; got none'),
      );
      await expect(call(`${verb}${kind}Authority`, { authority_id: 'ff' })).rejects.toEqual(
        refusal(status.NOT_FOUND, '"ff"'),
      );
    }
  });
});

describe('LocalAuthority', () => {
  it('has no upstream authority and no WIT authorities', async () => {
    const { call } = await open();
    for (const method of ['TaintX509UpstreamAuthority', 'RevokeX509UpstreamAuthority']) {
      await expect(call(method, { subject_key_id: 'ff' })).rejects.toMatchObject({
        code: status.FAILED_PRECONDITION,
      });
    }
    await expect(call('GetWITAuthorityState')).rejects.toMatchObject({
      code: status.UNIMPLEMENTED,
    });
  });

  it('activates at once, as SPIRE does, with an alarm while consumers may not know the authority', async () => {
    const { call, jwtCa } = await open();
    const { prepared_authority: prepared } = await call('PrepareJWTAuthority');
    const next = { authority_id: prepared?.authority_id ?? '' };
    expect(await call('ActivateJWTAuthority', next)).toEqual({ activated_authority: prepared });
    expect(jwtCa.status().alarm).toMatchObject({
      authorityId: next.authority_id,
      behind: [{ who: 'who keeps the JWKS' }],
    });
  });
});
