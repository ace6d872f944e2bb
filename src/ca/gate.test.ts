import { afterEach, describe, expect, it } from 'vitest';
import {
  type AuthorityWorld,
  type AuthorityWorldOptions,
  startAuthorities,
} from '../../test/fakes/authority-world.ts';
import { type CaGround, createCaGround } from '../../test/fakes/ca-world.ts';
import { settle } from '../../test/fakes/fake-clock.ts';
import { silentLog } from '../ops/index.ts';
import type { GatedX509Authority, Laggard, X509Gate } from './gate.ts';

const worlds: AuthorityWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

const HOUR_MS = 3_600_000;
const laggard: Laggard = { who: 'spiffe://a.test/spire/agent/x/1', why: 'it has not confirmed' };

/** Knows what the test says. */
class FakeGate implements X509Gate {
  readonly asked: GatedX509Authority[] = [];
  readonly #listeners = new Set<() => void>();
  #behind: readonly Laggard[] = [laggard];

  get listeners(): number {
    return this.#listeners.size;
  }

  check(authority: GatedX509Authority) {
    this.asked.push(authority);
    return { isOpen: this.#behind.length === 0, behind: this.#behind };
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(behind: readonly Laggard[]): void {
    this.#behind = behind;
    for (const listener of this.#listeners) listener();
  }
}

async function start(
  kind: 'x509' | 'jwt',
  options: AuthorityWorldOptions = {},
  ground: CaGround = createCaGround(),
): Promise<AuthorityWorld> {
  const world = await startAuthorities(kind, ground, options);
  worlds.push(world);
  return world;
}

async function startGated(options: AuthorityWorldOptions = {}) {
  const gate = new FakeGate();
  return { ...(await start('x509', { gate, ...options })), gate };
}

const states = (world: AuthorityWorld): readonly string[] =>
  world.ca.status().authorities.map(({ state }) => state);

describe('the gate of X.509 authorities', () => {
  it('is not asked for the first authority, which nobody can know', async () => {
    const world = await startGated();
    expect(states(world)).toEqual(['active']);
    expect(world.ca.status()).toMatchObject({ alarm: undefined, gate: undefined });
    expect(await world.metrics.render()).toContain('rotation_alarms_total{kind="x509"} 0');
  });

  it('lets the prepared authority sign as soon as everybody knows it', async () => {
    const world = await startGated();
    await world.clock.advanceAsync(13 * HOUR_MS);
    expect(states(world)).toEqual(['active', 'prepared']);
    expect(world.ca.status()).toMatchObject({
      gate: { isOpen: false, behind: [laggard] },
      nextStep: 'activate',
    });
    world.gate.set([]);
    await settle();
    expect(states(world)).toEqual(['old', 'active']);
    expect(world.ca.status()).toMatchObject({ alarm: undefined, gate: undefined });
    await world.sign();
  });

  it('is told which authority it is about and since when the bundle holds it', async () => {
    const world = await startGated();
    const publishedAt = world.clock.now() + 12 * HOUR_MS;
    await world.clock.advanceAsync(13 * HOUR_MS);
    const [, prepared] = world.ca.status().authorities;
    expect(world.gate.asked.at(-1)).toEqual({
      authorityId: prepared?.authorityId,
      certificate: expect.any(Uint8Array),
      publishedAt,
    });
  });

  it('does not hold it up beyond 5/6 of the life: it signs, with an alarm that names who is behind', async () => {
    const lines: unknown[] = [];
    const log = { ...silentLog, error: (fields: object) => void lines.push(fields) };
    const world = await startGated({ log });
    await world.clock.advanceAsync(20 * HOUR_MS - 1);
    expect(states(world)).toEqual(['active', 'prepared']);
    await world.clock.advanceAsync(1);
    expect(states(world)).toEqual(['old', 'active']);
    const [, active] = world.ca.status().authorities;
    const { authorityId } = active ?? {};
    expect(world.ca.status().alarm).toEqual({
      authorityId,
      at: world.clock.now(),
      behind: [laggard],
    });
    expect(lines).toEqual([{ authorityId, behind: [laggard], behindCount: 1 }]);
    expect(await world.metrics.render()).toContain('rotation_alarms_total{kind="x509"} 1');
  });

  it('ends the alarm when everybody has caught up', async () => {
    const world = await startGated();
    await world.clock.advanceAsync(20 * HOUR_MS);
    expect(world.ca.status().alarm).toBeDefined();
    world.gate.set([]);
    expect(world.ca.status().alarm).toBeUndefined();
  });

  it('keeps an operator from activating, who may force it', async () => {
    const world = await startGated();
    const { authorityId } = await world.ca.prepare();
    const { revision } = await world.bucket.list('');
    await expect(world.ca.activate(authorityId)).rejects.toMatchObject({
      code: 'ERR_CA_GATE',
      message: expect.stringContaining(`${laggard.who}: ${laggard.why}`),
    });
    expect((await world.bucket.list('')).revision).toBe(revision);
    expect(states(world)).toEqual(['active', 'prepared']);
    await world.ca.activate(authorityId, { force: true });
    expect(states(world)).toEqual(['old', 'active']);
    expect(world.ca.status().alarm).toMatchObject({ authorityId, behind: [laggard] });
  });

  it('names five and counts the rest', async () => {
    const world = await startGated();
    const { authorityId } = await world.ca.prepare();
    world.gate.set(Array.from({ length: 900 }, (_, i) => ({ who: `agent ${i}`, why: 'late' })));
    const message = expect.stringMatching(/agent 4: late, and 895 more\)/u);
    await expect(world.ca.activate(authorityId)).rejects.toMatchObject({ message });
  });

  it('leaves what an operator prepared to the operator in the first half of the life', async () => {
    const world = await startGated();
    world.gate.set([]);
    const { authorityId } = await world.ca.prepare();
    await world.clock.advanceAsync(HOUR_MS);
    expect(states(world)).toEqual(['active', 'prepared']);
    expect(await world.ca.activate(authorityId)).toMatchObject({ state: 'active' });
  });

  it('is not watched any more once the authorities are closed', async () => {
    const gate = new FakeGate();
    const world = await startAuthorities('x509', createCaGround(), { gate });
    expect(gate.listeners).toBe(1);
    await world.close();
    expect(gate.listeners).toBe(0);
    gate.set([]);
    expect(world.clock.timers).toBe(0);
  });
});

describe('the gate of JWT authorities', () => {
  it('opens when the JWKS has held the authority for twice the refresh hint', async () => {
    const world = await start('jwt', { refreshHintSeconds: 600 });
    await world.clock.advanceAsync(12 * HOUR_MS);
    expect(world.ca.status()).toMatchObject({
      nextStep: 'activate',
      nextStepAt: world.clock.now() + 1_200_000,
      gate: { isOpen: false, behind: [{ who: 'who keeps the JWKS' }] },
    });
    await world.clock.advanceAsync(1_199_999);
    expect(states(world)).toEqual(['active', 'prepared']);
    await world.clock.advanceAsync(1);
    expect(states(world)).toEqual(['old', 'active']);
    expect(world.ca.status().alarm).toBeUndefined();
  });

  it('goes by the instant of publication, also after a restart', async () => {
    const ground = createCaGround();
    const first = await startAuthorities('jwt', ground);
    const { authorityId } = await first.ca.prepare();
    await first.close();
    await ground.clock.advanceAsync(599_999);
    const world = await start('jwt', {}, ground);
    await expect(world.ca.activate(authorityId)).rejects.toMatchObject({ code: 'ERR_CA_GATE' });
    await world.clock.advanceAsync(1);
    expect(await world.ca.activate(authorityId)).toMatchObject({ state: 'active' });
  });

  it('opens in time where authorities live briefly, and says so at the start', async () => {
    const lines: unknown[] = [];
    const log = { ...silentLog, warn: (fields: object) => void lines.push(fields) };
    const world = await start('jwt', { caTtlSeconds: 30, log });
    expect(lines).toEqual([{ caTtlSeconds: 30, refreshHintSeconds: 300 }]);
    for (let second = 0; second < 300; second++) {
      const probe = await world.sign();
      expect(probe.expiresAt).toBeGreaterThan(world.clock.now());
      await world.clock.advanceAsync(1_000);
    }
    expect(await world.metrics.render()).toContain('rotation_alarms_total{kind="jwt"} 0');
    expect(world.ca.status().failure).toBeUndefined();
  });
});
