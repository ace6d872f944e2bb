import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import {
  type AuthorityWorld,
  type SignedProbe,
  startAuthorities,
} from '../fakes/authority-world.ts';
import { type CaGround, createCaGround } from '../fakes/ca-world.ts';
import { overBucket } from '../fakes/over-bucket.ts';

type Which = 'prepared' | 'active' | 'old' | 'unknown';

/** What operators, time and crashes do. */
type Step =
  | { readonly type: 'prepare' | 'restart' }
  | { readonly type: 'activate'; readonly which: Which; readonly force: boolean }
  | { readonly type: 'taint' | 'revoke'; readonly which: Which }
  | { readonly type: 'pass' | 'sleep'; readonly ms: number }
  | { readonly type: 'race'; readonly steps: readonly Step[] };

const which = fc.constantFrom<Which>('prepared', 'active', 'old', 'unknown');
const spans = fc.oneof(
  fc.integer({ min: 1, max: 120_000 }),
  fc.integer({ min: 60_000, max: 30 * 3_600_000 }),
);
const forced: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>({ type: 'prepare' }),
  fc.record({ type: fc.constant('activate' as const), which, force: fc.boolean() }),
  fc.record({ type: fc.constantFrom('taint' as const, 'revoke' as const), which }),
);
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: forced },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('pass' as const), ms: spans }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('sleep' as const), ms: spans }) },
  { weight: 1, arbitrary: fc.constant<Step>({ type: 'restart' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('race' as const),
      steps: fc.array(forced, { minLength: 2, maxLength: 4 }),
    }),
  },
);

const EXPECTED = new Set([
  'ERR_CA_AUTHORITY_ID',
  'ERR_CA_AUTHORITY_STATE',
  'ERR_CA_GATE',
  'ERR_CA_EXPIRED',
]);

/** One server through any story; checks after every durable change and after every step. */
class Story {
  readonly #kind: 'x509' | 'jwt';
  readonly #ground: CaGround;
  readonly #probes = new Set<SignedProbe>();
  #world: AuthorityWorld | undefined;

  constructor(kind: 'x509' | 'jwt') {
    this.#kind = kind;
    const ground = createCaGround();
    const put: typeof ground.bucket.put = async (...args) => {
      const revision = await ground.bucket.put(...args);
      await this.#checkDurable();
      return revision;
    };
    this.#ground = { ...ground, bucket: overBucket(ground.bucket, { put }) };
  }

  async run(all: readonly Step[]): Promise<void> {
    try {
      await this.#start();
      for (const step of all) {
        await this.#take(step);
        await this.#checkSigner();
        this.#checkProbes();
      }
    } finally {
      await this.#world?.close();
    }
  }

  get #running(): AuthorityWorld {
    if (this.#world === undefined) throw new Error('no server runs');
    return this.#world;
  }

  async #start(): Promise<void> {
    this.#world = await startAuthorities(this.#kind, this.#ground, { refreshHintSeconds: 60 });
  }

  async #take(step: Step): Promise<void> {
    const { ca, clock } = this.#running;
    const id = (wanted: Which): string =>
      ca.status().authorities.find(({ state }) => state === wanted)?.authorityId ?? 'none';
    switch (step.type) {
      case 'prepare':
        return await tolerate(ca.prepare());
      case 'activate':
        return await tolerate(ca.activate(id(step.which), { force: step.force }));
      case 'taint':
        return await tolerate(ca.taint(id(step.which)));
      case 'revoke':
        return await tolerate(ca.revoke(id(step.which)));
      case 'race':
        await Promise.all(step.steps.map((each) => this.#take(each)));
        return;
      case 'pass':
        return await clock.advanceAsync(step.ms);
      case 'sleep':
        clock.jump(clock.now() + step.ms);
        return await clock.advanceAsync(60_000);
      case 'restart':
        await this.#running.close();
        return await this.#start();
    }
  }

  /** What a crash at this instant would find: who is named active stands in the stored bundle. */
  async #checkDurable(): Promise<void> {
    const { bucket } = this.#ground;
    const journal = await bucket.get(`${this.#kind}.s1`);
    const { authorities } = journalSchema(journal?.value);
    const active = authorities.filter(({ state }) => state === 'active');
    assert.ok(active.length <= 1);
    const bundle = Buffer.from((await bucket.get('bundle'))?.value ?? []).toString();
    for (const { certificate, publicKey } of active) {
      assert.ok(bundle.includes(certificate ?? publicKey ?? 'nothing'));
    }
  }

  /** `sign` verifies against the bundle as it is. */
  async #checkSigner(): Promise<void> {
    const world = this.#running;
    const probe = await world.sign();
    assert.ok(world.published().includes(probe.authorityId));
    assert.ok(!world.tainted().includes(probe.authorityId));
    this.#probes.add(probe);
  }

  /** What was signed stays valid to its end, unless its authority was revoked. */
  #checkProbes(): void {
    const { clock } = this.#running;
    const published = new Set(this.#running.published());
    for (const probe of this.#probes) {
      const isOver = probe.expiresAt <= clock.now();
      if (isOver || !published.has(probe.authorityId)) this.#probes.delete(probe);
      else probe.verify();
    }
  }
}

interface JournalText {
  readonly authorities: readonly {
    readonly state: string;
    readonly certificate?: string;
    readonly publicKey?: string;
  }[];
}

function journalSchema(value: Uint8Array | undefined): JournalText {
  if (value === undefined) return { authorities: [] };
  const text: JournalText = JSON.parse(Buffer.from(value).toString());
  return text;
}

async function tolerate(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof TrustplaneError) || !EXPECTED.has(error.code)) throw error;
  }
}

describe.each(['x509', 'jwt'] as const)('forced steps, time and restarts on %s', (kind) => {
  it('leave the active authority in the bundle at every instant, and let nothing else sign (FED-5)', async () => {
    const stories = fc.array(steps, { minLength: 1, maxLength: 25 });
    const property = fc.asyncProperty(stories, (story) => new Story(kind).run(story));
    await expect(fc.assert(property, { numRuns: 60 })).resolves.toBeUndefined();
  });
});
