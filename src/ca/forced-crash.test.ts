import { describe, expect, it } from 'vitest';
import { type AuthorityWorld, startAuthorities } from '../../test/fakes/authority-world.ts';
import { type CaGround, createCaGround } from '../../test/fakes/ca-world.ts';
import { type Death, mortalGround } from '../../test/fakes/mortal-ground.ts';
import { TrustplaneError } from '../spiffe/index.ts';

/** Key, journal, bundle; journal (active). */
const CHANGES_OF_START = 4;
/** Prepare: key, journal, bundle. Activate: journal. Taint: bundle. Revoke: bundle, journal, key. */
const CHANGES_OF_STEPS = 3 + 1 + 1 + 3;

const deaths: readonly Death[] = Array.from(
  { length: CHANGES_OF_STEPS },
  (_, index) => CHANGES_OF_START + 1 + index,
).flatMap((at) => [
  { at, when: 'before' },
  { at, when: 'after' },
  { at, when: 'before', isLie: true },
  { at, when: 'after', isLie: true },
]);

/** What must hold whenever a server runs. */
async function expectWhole(world: AuthorityWorld): Promise<void> {
  const { authorities, health } = world.ca.status();
  expect(health).toBe('ok');
  expect(authorities.filter(({ state }) => state === 'active')).toHaveLength(1);
  expect(world.published()).toEqual(authorities.map(({ authorityId }) => authorityId));
  expect(await world.keyManager.listKeys()).toHaveLength(authorities.length);
  const { authorityId } = await world.sign();
  expect(world.tainted()).not.toContain(authorityId);
}

/**
 * An operator who replaces an authority, step by step, each step tried until it is done; a dead server
 * is started again.
 */
async function replaceAuthority(kind: 'x509' | 'jwt', ground: CaGround, death?: Death) {
  const doomed = death === undefined ? undefined : mortalGround(ground, death);
  let world = await startAuthorities(kind, doomed ?? ground);
  let deathsSeen = 0;

  async function insist<Result>(step: (world: AuthorityWorld) => Promise<Result>): Promise<Result> {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        return await step(world);
      } catch (error) {
        if (error instanceof TrustplaneError && error.code === 'ERR_CA_AUTHORITY_ID') throw error;
        deathsSeen++;
        if (doomed?.isDead() === true) {
          await world.close();
          world = await startAuthorities(kind, ground);
        }
        await world.clock.advanceAsync(1_000);
        await expectWhole(world);
      }
    }
    throw new Error('a step fails for good');
  }

  const former = (await world.sign()).authorityId;
  const prepared = await insist(({ ca }) => ca.prepare());
  await expectWhole(world);
  await insist(({ ca }) => ca.activate(prepared.authorityId, { force: true }));
  await expectWhole(world);
  expect((await world.sign()).authorityId).toBe(prepared.authorityId);
  await insist(({ ca }) => ca.taint(former));
  await expectWhole(world);
  await insist(({ ca }) => ca.revoke(former)).catch(expectGone);
  await expectWhole(world);
  const { authorities } = world.ca.status();
  await world.close();
  return { deathsSeen, ids: authorities.map(({ authorityId }) => authorityId), prepared, former };
}

/** A revocation that a crash interrupted is finished by the next start; asked again, it is done. */
function expectGone(error: unknown): void {
  expect(error).toMatchObject({ code: 'ERR_CA_AUTHORITY_ID' });
}

describe.each(['x509', 'jwt'] as const)('kill -9 at any change of a forced step on %s', (kind) => {
  it.each(deaths)('is made up for by repeating the step: %o', async (death) => {
    const outcome = await replaceAuthority(kind, createCaGround(), death);
    expect(outcome.deathsSeen).toBe(1);
    expect(outcome.ids).toEqual([outcome.prepared.authorityId]);
  });

  it('covers every change there is', async () => {
    const at = CHANGES_OF_START + CHANGES_OF_STEPS + 1;
    const outcome = await replaceAuthority(kind, createCaGround(), { at, when: 'before' });
    expect(outcome).toMatchObject({ deathsSeen: 0 });
  });
});
