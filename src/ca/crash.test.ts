import { describe, expect, it } from 'vitest';
import {
  type CaGround,
  type CaWorld,
  createCaGround,
  issueVerified,
  startCa,
} from '../../test/fakes/ca-world.ts';
import { type Death, mortalGround } from '../../test/fakes/mortal-ground.ts';

const HOUR_MS = 3_600_000;
/** Ends well after the last change, at 36 h and a second. */
const LENGTH_MS = 37 * HOUR_MS;
const CHANGES_OF_FIRST_START = 4;
/** Four authorities made (key, journal, bundle), three activated, two pruned (bundle, journal, key). */
const CHANGES = 4 * 3 + 3 + 2 * 3;

/** What is in the store and the key manager fits together, and the CA signs what peers trust. */
async function expectWhole(world: CaWorld): Promise<void> {
  const { authorities, health } = world.ca.status();
  expect(health).toBe('ok');
  expect(authorities.filter(({ state }) => state === 'active')).toHaveLength(1);
  expect(authorities.every(({ isPublished }) => isPublished)).toBe(true);
  expect(world.trustMap.current().own.x509Authorities).toHaveLength(authorities.length);
  expect(await world.keyManager.listKeys()).toHaveLength(authorities.length);
  await issueVerified(world);
}

const deaths = Array.from({ length: 24 }, (_, index) => index + 1).flatMap((at) => [
  { at, when: 'before' } as const,
  { at, when: 'after' } as const,
]);

describe('kill -9', () => {
  it('at any step of the first start: the next start ends with one authority', async () => {
    let killings = 0;
    for (const death of deaths) {
      const ground = createCaGround();
      const doomed = mortalGround(ground, death);
      const first = await startCa(doomed).catch(() => undefined);
      await first?.close();
      if (doomed.isDead()) killings++;
      const journaled = await certificatesIn(ground);
      const world = await startCa(ground);
      await expectWhole(world);
      const used = await certificatesIn(ground);
      expect(used).toHaveLength(1);
      expect(used.slice(0, journaled.length)).toEqual(journaled);
      await world.close();
    }
    expect(killings).toBe(2 * CHANGES_OF_FIRST_START);
  });

  it('at any step of the rotations: same authorities, nothing lost, nothing needless', async () => {
    const undisturbed = await rotate(createCaGround(), undefined);
    let killings = 0;
    for (const death of deaths) {
      const ground = createCaGround();
      const outcome = await rotate(ground, death);
      if (outcome.wasKilled) killings++;
      expect({ death, ...outcome }).toMatchObject({
        death,
        sequence: undisturbed.sequence,
        states: undisturbed.states,
      });
    }
    expect(killings).toBe(2 * CHANGES);
  });
});

describe('a change that is reported as failed', () => {
  it.each(['before', 'after'] as const)('%s it was made: is made up for', async (when) => {
    const undisturbed = await rotate(createCaGround(), undefined);
    for (let at = CHANGES_OF_FIRST_START + 1; at <= CHANGES; at++) {
      const outcome = await rotate(createCaGround(), { at, when, isLie: true });
      expect({ at, ...outcome }).toEqual({ at, ...undisturbed });
    }
  });
});

async function certificatesIn(ground: CaGround): Promise<string[]> {
  const record = await ground.bucket.get('x509.s1');
  const text = Buffer.from(record?.value ?? []).toString();
  return Array.from(
    text.matchAll(/"certificate":"([^"]+)"/gu),
    ([, certificate = '']) => certificate,
  );
}

/** A day and a half of rotations, half an hour at a time; a dead server is started again. */
async function rotate(ground: CaGround, death: Death | undefined) {
  const doomed = death === undefined ? undefined : mortalGround(ground, death);
  let world = await startCa(doomed ?? ground).catch(() => undefined);
  let wasKilled = false;
  for (let elapsedMs = 0; elapsedMs <= LENGTH_MS; elapsedMs += HOUR_MS / 2) {
    if (doomed?.isDead() === true && !wasKilled) {
      wasKilled = true;
      world = await restart(ground, world);
    }
    if (world === undefined) throw new Error('no server runs');
    await issueVerified(world);
    if (elapsedMs < LENGTH_MS) await ground.clock.advanceAsync(HOUR_MS / 2);
  }
  if (world === undefined) throw new Error('no server runs');
  const { authorities } = world.ca.status();
  const sequence = world.trustMap.current().own.sequenceNumber;
  await world.close();
  return { wasKilled, sequence, states: authorities.map(({ state }) => state) };
}

async function restart(ground: CaGround, dead: CaWorld | undefined): Promise<CaWorld> {
  const signer = dead?.ca.status().authorities.find(({ state }) => state === 'active');
  await dead?.close();
  const world = await startCa(ground);
  await expectWhole(world);
  const ids = world.ca.status().authorities.map(({ authorityId }) => authorityId);
  expect(ids).toEqual(signer === undefined ? ids : expect.arrayContaining([signer.authorityId]));
  return world;
}
