import { rmSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AgentRegistry, JoinTokens } from '../../src/agents/index.ts';
import { lastingRecords } from '../../src/app/keep-state.ts';
import { loadFederation } from '../../src/federation/index.ts';
import { FactJournal, keepStore } from '../../src/journal/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { RevocationRegistry } from '../../src/revocations/index.ts';
import { parseSelector, SpiffeId, TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';
import { FakeClock } from '../fakes/fake-clock.ts';
import { ForgetfulStore, type StoreCopy } from '../fakes/forgetful-store.ts';
import { bytesOf } from '../fakes/lasting-samples.ts';
import { foreignBundle } from '../fakes/open-federation.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const trustDomain = TrustDomain.parse('a.test');
const NAMES = ['x', 'y', 'z'];

type Step =
  | {
      readonly do:
        | 'revoke'
        | 'attest'
        | 'ban'
        | 'evict'
        | 'make'
        | 'spend'
        | 'publish'
        | 'entry'
        | 'unentry';
      readonly name: string;
    }
  | { readonly do: 'restart' | 'copy' | 'setBack' | 'setBackLive' };

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constantFrom(
          'revoke',
          'attest',
          'ban',
          'evict',
          'make',
          'spend',
          'publish',
          'entry',
          'unentry',
        ),
        name: fc.constantFrom(...NAMES),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('restart', 'copy', 'setBack', 'setBackLive') }),
    },
  ),
  { minLength: 5, maxLength: 40 },
) satisfies fc.Arbitrary<Step[]>;

/** What was acknowledged. */
class Model {
  readonly revoked = new Map<string, number>();
  readonly agents = new Map<string, { banned: boolean; serial: string }>();
  readonly tokens = new Map<string, 'made' | 'spent'>();
  readonly sequences = new Map<string, bigint>();
  readonly deletedEntries = new Set<string>();
  /** Names of which nothing can be told any more. */
  readonly unsure = new Set<string>();
}

/** One server over a store that others may set back, and its data directory. */
class World {
  readonly #folder = createRunFolder();
  readonly #clock = new FakeClock();
  readonly #store = new ForgetfulStore();
  readonly #model = new Model();
  #copies: StoreCopy[] = [];
  #serial = 1n;
  #eras = 0;
  #opened: Awaited<ReturnType<World['open']>> | undefined;

  async open() {
    const common = { clock: this.#clock, log: silentLog, metrics: createMetrics(), trustDomain };
    const file = path.join(this.#folder.path, 'facts.journal');
    const journal = await FactJournal.open({
      path: file,
      trustDomain: 'a.test',
      clock: this.#clock,
    });
    const kept = await keepStore({
      ...common,
      store: this.#store,
      journal,
      rules: lastingRecords(trustDomain),
      makeEra: () => (++this.#eras).toString(16).padStart(16, '0'),
    });
    const revocations = await RevocationRegistry.load({
      ...common,
      bucket: kept.bucket('revocations'),
    });
    const agents = await AgentRegistry.load({ ...common, bucket: kept.bucket('agents') });
    const federation = await loadFederation({ ...common, bucket: kept.bucket('federation') });
    const { foreignBundles: bundles } = federation;
    const tokens = JoinTokens.create({
      ...common,
      bucket: kept.bucket('tokens'),
      randomBytes: (size) => new Uint8Array(size),
    });
    const close = async (): Promise<void> => {
      await Promise.all([revocations.close(), agents.close(), federation.close(), tokens.close()]);
      await kept.close();
      await journal.close();
    };
    return { kept, revocations, agents, bundles, tokens, close };
  }

  /** Takes the steps until something does not hold; returns what. */
  async run(all: readonly Step[]): Promise<readonly string[]> {
    this.#opened = await this.open();
    for (const step of all) {
      this.#clock.advance(1);
      await this.#take(step);
      if (step.do !== 'setBackLive' && step.do !== 'restart' && step.do !== 'setBack') continue;
      const faults = await this.faults();
      if (faults.length > 0) return faults;
    }
    await this.#restart();
    return await this.faults();
  }

  async close(): Promise<void> {
    await this.#opened?.close();
    rmSync(this.#folder.path, { recursive: true });
  }

  async #restart(between: () => void = () => {}): Promise<void> {
    await this.#opened?.close();
    between();
    this.#opened = await this.open();
  }

  get #parts() {
    if (this.#opened === undefined) throw new Error('not open');
    return this.#opened;
  }

  async #take(step: Step): Promise<void> {
    if ('name' in step) return await this.#try(step.do, step.name);
    if (step.do === 'copy') this.#copies.push(this.#store.copy());
    if (step.do === 'restart') await this.#restart();
    const copy = this.#copies.at(-1);
    if (copy === undefined) return;
    if (step.do === 'setBack') await this.#restart(() => this.#store.setBack(copy));
    if (step.do === 'setBackLive') await this.#setBackLive(copy);
  }

  /** The feeds break, are read again after a while, and then the journal is asserted. */
  async #setBackLive(copy: StoreCopy): Promise<void> {
    this.#store.setBack(copy);
    for (let round = 0; round < 400 && (await this.faults()).length > 0; round++) {
      await this.#clock.advanceAsync(1_000);
      // The journal is on a real disk.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Of a change that failed nobody knows whether it is there, nor need it be. */
  async #try(what: string, name: string): Promise<void> {
    try {
      await this.#pumped(this.#change(what, name));
    } catch (error) {
      if (!(error instanceof TrustplaneError)) throw error;
      this.#model.unsure.add(name);
    }
  }

  /** Feeds that broke are read again after a while. */
  async #pumped(work: Promise<void>): Promise<void> {
    const state = { isOver: false };
    const end = (): void => {
      state.isOver = true;
    };
    work.then(end, end);
    while (!state.isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      if (!state.isOver) this.#clock.advance(50);
    }
    await work;
  }

  async #change(what: string, name: string): Promise<void> {
    const { revocations, agents, tokens, bundles, kept } = this.#parts;
    const id = SpiffeId.parse(`spiffe://a.test/${name}`);
    const agentId = SpiffeId.parse(`spiffe://a.test/spire/agent/test/${name}`);
    const now = this.#clock.now();
    const model = this.#model;
    if (what === 'revoke') {
      await revocations.add({
        kind: 'spiffe-id',
        value: id.toString(),
        issuedBefore: now,
        expiresAt: now + 10 ** 12,
        reason: '',
      });
      model.revoked.set(id.toString(), now);
    } else if (what === 'attest' && model.agents.get(name)?.banned !== true) {
      const serialNumber = (this.#serial++).toString(16);
      await agents.attest(
        {
          id: agentId,
          attestationType: 'test',
          selectors: [parseSelector('test:a')],
          canReattest: true,
          publicKey: bytesOf('key'),
        },
        () => ({ serialNumber, expiresAt: now + 10 ** 12 }),
      );
      model.agents.set(name, { banned: false, serial: serialNumber });
    } else if (what === 'ban' && model.agents.has(name)) {
      await agents.ban(agentId);
      model.agents.set(name, { serial: '', ...model.agents.get(name), banned: true });
    } else if (what === 'evict' && model.agents.has(name)) {
      await agents.delete(agentId);
      model.agents.delete(name);
    } else if (what === 'make' && !model.tokens.has(name)) {
      await tokens.create({ ttlSeconds: 31_536_000, token: `token-${name}-0123456789` });
      model.tokens.set(name, 'made');
    } else if (what === 'spend' && model.tokens.get(name) === 'made') {
      await tokens.spend(`token-${name}-0123456789`);
      model.tokens.set(name, 'spent');
    } else if (what === 'publish') {
      const sequence = (model.sequences.get(name) ?? 0n) + 1n;
      await bundles.set(
        foreignBundle(`${name}.test`, [Number(sequence % 3n)], { sequenceNumber: sequence }),
      );
      model.sequences.set(name, sequence);
    } else if (what === 'entry') {
      await kept.bucket('entries').put(name, bytesOf('entry'));
      model.deletedEntries.delete(name);
    } else if (what === 'unentry') {
      if ((await kept.bucket('entries').delete(name)) !== undefined) model.deletedEntries.add(name);
    }
  }

  /** What was acknowledged and does not hold. */
  async faults(): Promise<readonly string[]> {
    const { revocations, agents, tokens, bundles, kept } = this.#parts;
    const { revoked, unsure, ...model } = this.#model;
    const faults = [...revoked]
      .filter(
        ([id, at]) =>
          (revocations.list().find(({ value }) => value === id)?.issuedBefore ?? 0) < at,
      )
      .map(([id]) => `${id} is not revoked`);
    for (const name of NAMES.filter((one) => !unsure.has(one))) {
      const agent = agents.get(SpiffeId.parse(`spiffe://a.test/spire/agent/test/${name}`));
      const known = model.agents.get(name);
      const isRight = agent?.banned === known?.banned && agent?.svid.serialNumber === known?.serial;
      if (!isRight) faults.push(`agent ${name} is ${agent?.svid.serialNumber}, ${agent?.banned}`);
      const isSpent = model.tokens.get(name) === 'spent';
      if (isSpent && (await canSpend(tokens, name))) faults.push(`token ${name} is not spent`);
      const sequence = bundles.get(TrustDomain.parse(`${name}.test`))?.sequenceNumber;
      if (sequence !== model.sequences.get(name)) faults.push(`bundle ${name} is ${sequence}`);
      const entry = model.deletedEntries.has(name) && (await kept.bucket('entries').get(name));
      if (entry) faults.push(`entry ${name} is back`);
    }
    return faults;
  }
}

async function canSpend(tokens: JoinTokens, name: string): Promise<boolean> {
  return await tokens.spend(`token-${name}-0123456789`).then(
    () => true,
    () => false,
  );
}

describe('a server whose store is set back at any time, running or not', () => {
  it(
    'has every revocation, ban, eviction, spent token, bundle and deletion it acknowledged',
    async () => {
      await fc.assert(
        fc.asyncProperty(steps, async (all) => {
          const world = new World();
          try {
            expect(await world.run(all)).toEqual([]);
          } finally {
            await world.close();
          }
        }),
        { numRuns: Number(process.env['RUNS'] ?? 40) },
      );
    },
    60_000 + Number(process.env['RUNS'] ?? 40) * 1_000,
  );
});
