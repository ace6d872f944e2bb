import { afterEach, describe, expect, it } from 'vitest';
import {
  type AuthorityWorld,
  type AuthorityWorldOptions,
  startAuthorities,
} from '../../test/fakes/authority-world.ts';
import { type CaGround, createCaGround } from '../../test/fakes/ca-world.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { overBucket } from '../../test/fakes/over-bucket.ts';
import { TrustplaneError } from '../spiffe/index.ts';

const worlds: AuthorityWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

const withCode = (code: string) => expect.objectContaining({ code });
const HOUR_MS = 3_600_000;
const SINCE_LONG_MS = 11 * 60_000;

describe.each(['x509', 'jwt'] as const)('forced steps on %s authorities', (kind) => {
  async function start(
    ground: CaGround = createCaGround(),
    options: AuthorityWorldOptions = {},
  ): Promise<AuthorityWorld> {
    const world = await startAuthorities(kind, ground, options);
    worlds.push(world);
    return world;
  }

  const states = (world: AuthorityWorld): readonly string[] =>
    world.ca.status().authorities.map(({ state }) => state);
  const idOf = (world: AuthorityWorld, state: string): string =>
    world.ca.status().authorities.find((authority) => authority.state === state)?.authorityId ?? '';

  /** With an old authority beside the active one. */
  async function startRotated(): Promise<AuthorityWorld & { readonly old: string }> {
    const world = await start();
    const old = idOf(world, 'active');
    const { authorityId } = await world.ca.prepare();
    await world.clock.advanceAsync(SINCE_LONG_MS);
    await world.ca.activate(authorityId);
    return { ...world, old };
  }

  it('prepare makes an authority that is published and signs nothing', async () => {
    const world = await start();
    const first = idOf(world, 'active');
    const prepared = await world.ca.prepare();
    expect(prepared).toMatchObject({ state: 'prepared', isPublished: true, isTainted: false });
    expect(world.published()).toEqual([first, prepared.authorityId]);
    expect((await world.sign()).authorityId).toBe(first);
    await world.clock.advanceAsync(HOUR_MS);
    expect(states(world)).toEqual(['active', 'prepared']);
  });

  it('prepare replaces what is prepared already, and destroys its key', async () => {
    const world = await start();
    const first = await world.ca.prepare();
    const second = await world.ca.prepare();
    expect(second.authorityId).not.toBe(first.authorityId);
    expect(states(world)).toEqual(['active', 'prepared']);
    expect(world.published()).not.toContain(first.authorityId);
    expect(await world.keyManager.listKeys()).toHaveLength(2);
  });

  it('activate lets the prepared one sign; what the former signed stays valid', async () => {
    const world = await start();
    const former = await world.sign();
    const { authorityId } = await world.ca.prepare();
    const activated = await world.ca.activate(authorityId, { force: true });
    expect(activated).toMatchObject({ authorityId, state: 'active' });
    expect(states(world)).toEqual(['old', 'active']);
    expect((await world.sign()).authorityId).toBe(authorityId);
    expect(world.published()).toEqual([former.authorityId, authorityId]);
    former.verify();
  });

  it('activate of what is active already changes nothing', async () => {
    const world = await start();
    const { revision } = await world.bucket.list('');
    const active = idOf(world, 'active');
    expect(await world.ca.activate(active)).toMatchObject({ state: 'active' });
    expect((await world.bucket.list('')).revision).toBe(revision);
  });

  it('activate refuses an unknown authority and an old one', async () => {
    const world = await startRotated();
    await expect(world.ca.activate('00')).rejects.toEqual(withCode('ERR_CA_AUTHORITY_ID'));
    await expect(world.ca.activate(world.old)).rejects.toEqual(withCode('ERR_CA_AUTHORITY_STATE'));
  });

  it('taint marks an old authority in the bundle, once', async () => {
    const world = await startRotated();
    expect(await world.ca.taint(world.old)).toMatchObject({ state: 'old', isTainted: true });
    expect(world.tainted()).toEqual([world.old]);
    const sequence = world.ownBundle.current().sequenceNumber;
    expect(await world.ca.taint(world.old)).toMatchObject({ isTainted: true });
    expect(world.ownBundle.current().sequenceNumber).toBe(sequence);
    expect(world.ca.status().authorities[0]).toMatchObject({ isTainted: true });
  });

  it('taint refuses the active authority, the prepared one and an unknown one', async () => {
    const world = await start();
    const { authorityId } = await world.ca.prepare();
    for (const id of [idOf(world, 'active'), authorityId]) {
      await expect(world.ca.taint(id)).rejects.toEqual(withCode('ERR_CA_AUTHORITY_STATE'));
      await expect(world.ca.revoke(id)).rejects.toEqual(withCode('ERR_CA_AUTHORITY_STATE'));
    }
    await expect(world.ca.taint('00')).rejects.toEqual(withCode('ERR_CA_AUTHORITY_ID'));
    await expect(world.ca.revoke('')).rejects.toEqual(withCode('ERR_CA_AUTHORITY_ID'));
    expect(world.tainted()).toEqual([]);
  });

  it('revoke takes a tainted authority out of the bundle and destroys its key', async () => {
    const world = await startRotated();
    await expect(world.ca.revoke(world.old)).rejects.toEqual(withCode('ERR_CA_AUTHORITY_STATE'));
    expect(world.published()).toContain(world.old);
    await world.ca.taint(world.old);
    expect(await world.ca.revoke(world.old)).toMatchObject({ isPublished: false });
    expect(world.published()).toEqual([idOf(world, 'active')]);
    expect(states(world)).toEqual(['active']);
    expect(await world.keyManager.listKeys()).toHaveLength(1);
    await expect(world.ca.revoke(world.old)).rejects.toEqual(withCode('ERR_CA_AUTHORITY_ID'));
  });

  it('what another one took out of the bundle goes without being tainted', async () => {
    const world = await startRotated();
    const publisher = world.ownBundle.publisherFor('s2');
    const [first] = world.ownBundle.current().x509Authorities;
    if (kind === 'jwt') await publisher.withdrawJwt(world.old);
    else await publisher.withdraw(first?.certificate ?? new Uint8Array());
    expect(await world.ca.revoke(world.old)).toMatchObject({ isPublished: false });
    expect(states(world)).toEqual(['active']);
  });

  it('asked for at the same time are done one after the other', async () => {
    const world = await start();
    const outcomes = await Promise.allSettled([
      world.ca.prepare(),
      world.ca.prepare(),
      world.ca.activate('00'),
      world.ca.prepare(),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(states(world)).toEqual(['active', 'prepared']);
    expect(world.published()).toHaveLength(2);
    expect(await world.keyManager.listKeys()).toHaveLength(2);
    await world.sign();
  });

  it('prepare is refused when there are 32, until old ones are revoked', async () => {
    const world = await start();
    for (let made = 1; made < 32; made++) {
      const { authorityId } = await world.ca.prepare();
      await world.ca.activate(authorityId, { force: true });
    }
    await expect(world.ca.prepare()).rejects.toEqual(withCode('ERR_CA_AUTHORITY_LIMIT'));
    const old = idOf(world, 'old');
    await world.ca.taint(old);
    await world.ca.revoke(old);
    expect(await world.ca.prepare()).toMatchObject({ state: 'prepared' });
    expect(await world.ca.prepare()).toMatchObject({ state: 'prepared' });
  });

  it('activate refuses a prepared one that has expired', async () => {
    const world = await start();
    const { authorityId } = await world.ca.prepare();
    await settle();
    world.clock.jump(world.clock.now() + 25 * HOUR_MS);
    await expect(world.ca.activate(authorityId, { force: true })).rejects.toEqual(
      withCode('ERR_CA_AUTHORITY_STATE'),
    );
    await settle();
    expect((await world.sign()).authorityId).not.toBe(authorityId);
  });

  it('are told to listeners and counted', async () => {
    const world = await startRotated();
    const events: string[] = [];
    world.ca.onRotation(({ type, authorityId }) =>
      events.push(`${type} ${authorityId === world.old ? 'old' : 'other'}`),
    );
    await world.ca.taint(world.old);
    await world.ca.revoke(world.old);
    await world.ca.prepare();
    expect(events).toEqual(['taint old', 'revoke old', 'prepare other', 'publish other']);
    expect(await world.metrics.render()).toContain(
      `trustplane_ca_rotation_steps_total{kind="${kind}",step="revoke"} 1`,
    );
  });

  it('are refused once it is closed', async () => {
    const world = await startAuthorities(kind);
    await world.close();
    await expect(world.ca.prepare()).rejects.toEqual(withCode('ERR_CA_CLOSED'));
    expect(world.clock.timers).toBe(0);
  });

  it('that fail leave what was, and can be repeated', async () => {
    const ground = createCaGround();
    let isDown = false;
    const put: typeof ground.bucket.put = async (...args) => {
      if (isDown) throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'down');
      return await ground.bucket.put(...args);
    };
    const world = await start({ ...ground, bucket: overBucket(ground.bucket, { put }) });
    const active = idOf(world, 'active');
    isDown = true;
    await expect(world.ca.prepare()).rejects.toEqual(withCode('ERR_STORE_UNAVAILABLE'));
    expect((await world.sign()).authorityId).toBe(active);
    isDown = false;
    await settle();
    expect(await world.keyManager.listKeys()).toHaveLength(1);
    await world.ca.prepare();
    expect(states(world)).toEqual(['active', 'prepared']);
    expect(world.ca.status()).toMatchObject({ health: 'ok', failure: undefined });
  });

  it('leave the rotation by the clock as it is: half of the life, then 5/6, then the end', async () => {
    const world = await startRotated();
    await world.clock.advanceAsync(40 * HOUR_MS);
    expect(states(world)).toContain('active');
    expect(world.published()).not.toContain(world.old);
    expect(world.ca.status()).toMatchObject({ health: 'ok', alarm: undefined });
    await world.sign();
  });
});
