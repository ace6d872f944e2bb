import * as fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AgentSyncView } from '../../src/api/agent-sync-view.ts';
import { SyncHub, type SyncLink } from '../../src/api/sync-hub.ts';
import { EntryUnion } from '../../src/entries/authorized-entries.ts';
import { parseSelector, type SpiffeId, TrustplaneError } from '../../src/spiffe/index.ts';
import {
  buildParts,
  type Position,
  parsePart,
  SyncPublisher,
  SyncReplica,
  type SyncSession,
  type WireSyncResponse,
} from '../../src/sync/index.ts';
import { ReplicaState } from '../../src/sync/replica-state.ts';
import { messageType } from '../../src/wire/index.ts';
import {
  agentIdOf,
  describeFacts,
  numberedBundle,
  SyncWorld,
  testRevocation,
  testTerms,
} from '../fakes/sync-world.ts';
import { testEntry, testTrustDomain } from '../fakes/test-entries.ts';

const RESPONSE = messageType('trustplane/sync/v1/sync.proto', 'trustplane.sync.v1.SyncResponse');
/** So small that an update of a few items has several parts. */
const PART_BYTES = 150;

const nodeSelectors = ['k8s_psat:cluster:x', 'k8s_psat:cluster:y', 'k8s_psat:agent_ns:z'];
const foreign = ['b.test', 'c.test'];
const agentIds = ['one', 'two', 'three'].map(agentIdOf);
const names = ['a', 'b', 'c', 'd'];

const randomEntry = fc
  .record({
    id: fc.integer({ min: 0, max: 9 }),
    name: fc.constantFrom(...names),
    parent: fc.constantFrom(
      'spiffe://a.test/spire/server',
      ...agentIds.map(String),
      ...names.map((name) => `spiffe://a.test/${name}`),
    ),
    nodes: fc.subarray(nodeSelectors, { minLength: 1 }),
    federatesWith: fc.subarray(foreign),
    hint: fc.constantFrom('', 'x'),
  })
  .filter(({ name, parent }) => parent !== `spiffe://a.test/${name}`)
  .map(({ id, name, parent: parentId, nodes, federatesWith, hint }) =>
    testEntry(name, parentId.endsWith('/server') ? nodes : ['unix:uid:1'], {
      id: `e${id}`,
      parentId,
      federatesWith,
      hint,
    }),
  );
const agentIndex = fc.integer({ min: 0, max: agentIds.length - 1 });

const serverStep = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('entries' as const),
      steps: fc.array(
        fc.oneof(
          { weight: 3, arbitrary: randomEntry },
          { weight: 2, arbitrary: fc.integer({ min: 0, max: 9 }).map((id) => `e${id}`) },
        ),
        { minLength: 1, maxLength: 4 },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('bundles' as const),
      own: fc.integer({ min: 1, max: 4 }),
      foreign: fc.array(fc.tuple(fc.constantFrom(...foreign), fc.integer({ min: 1, max: 3 })), {
        maxLength: 2,
      }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('terms' as const),
      terms: fc.array(fc.tuple(fc.constantFrom(...foreign), fc.subarray(['/x/**', '/y'])), {
        maxLength: 2,
      }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('revocations' as const),
      ids: fc.subarray(['r1', 'r2', 'r3']),
      until: fc.integer({ min: 2_000, max: 2_002 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('node' as const),
      agent: agentIndex,
      shown: fc.subarray(nodeSelectors),
    }),
  },
);
const deliver = fc.record({
  do: fc.constant('deliver' as const),
  agent: agentIndex,
  parts: fc.integer({ min: 1, max: 6 }),
});
const lifeStep = fc.oneof(
  { weight: 6, arbitrary: deliver },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('break' as const), agent: agentIndex }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), agent: agentIndex }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('release' as const),
      agent: agentIndex,
      takesTerms: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('idle' as const) }) },
);
const faultStep = fc.record({
  do: fc.constantFrom('drop' as const, 'double' as const, 'swap' as const, 'forget' as const),
  agent: agentIndex,
  at: fc.integer({ min: 0, max: 5 }),
});

type Of<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Step = Of<typeof serverStep> | Of<typeof lifeStep> | Of<typeof faultStep>;

/** The digest that the part being received names. */
let claimed = '';

/** One agent with its stream, whose messages the test delivers or does not. */
class Agent {
  readonly id: SpiffeId;
  readonly replica: SyncReplica = new SyncReplica({
    trustDomain: testTrustDomain,
    agentVersion: 'test',
  });
  readonly #world: SyncWorld;
  /** What the server held for this agent, in order. */
  readonly #history: string[] = [];
  #seen = 0;
  #link: SyncLink | undefined;
  #session: SyncSession | undefined;
  #wire: Uint8Array[] = [];
  #isDeaf = false;
  #sent: number | undefined;
  /** Updates that were discarded. */
  refusals = 0;
  /** False for an agent of an earlier release. */
  takesTerms = true;

  constructor(world: SyncWorld, id: SpiffeId) {
    this.#world = world;
    this.id = id;
  }

  get queue(): Uint8Array[] {
    return this.#wire;
  }

  /** The next acknowledgement is lost. */
  forget(): void {
    this.#isDeaf = true;
  }

  /** What it is to know now. */
  expected(): string {
    return describeFacts(this.#world.factsOf(this.id, this.takesTerms));
  }

  /** Notes a state that the agent may come to stand at. */
  note(): void {
    this.#history.push(this.expected());
  }

  connect(): void {
    this.leave();
    const session = this.replica.connect();
    if (session.hello.kind !== 'hello') throw new Error('no hello');
    this.#session = session;
    const stream = {
      wake: () => {
        const update = this.#link?.take();
        if (update === undefined) return;
        this.#sent = update.position.revision;
        for (const part of buildParts(update, PART_BYTES)) {
          this.#wire.push(RESPONSE.encode(RESPONSE.fromObject(part)).finish());
        }
      },
      end: () => {
        if (this.#link !== undefined && this.#session === session) this.leave();
      },
    };
    this.#link = this.#world.hub.connect(
      this.id,
      { ...session.hello, takesTerms: this.takesTerms },
      stream,
    );
    stream.wake();
  }

  leave(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#wire = [];
    this.#isDeaf = false;
    this.#sent = undefined;
    link?.close();
  }

  /** An update was sent whose end was not acknowledged. */
  get isWaitedFor(): boolean {
    return this.#sent !== undefined;
  }

  get isConnected(): boolean {
    return this.#link !== undefined;
  }

  /** Delivers the next part; a stream that fails is followed by another, as agents do. */
  receive(): void {
    try {
      this.#receive();
    } catch (error) {
      if (!(error instanceof TrustplaneError) || !error.code.startsWith('ERR_SYNC_')) throw error;
      this.refusals++;
      this.connect();
    }
  }

  #receive(): void {
    const bytes = this.#wire.shift();
    const session = this.#session;
    if (bytes === undefined || session === undefined || this.#link === undefined) return;
    const message: WireSyncResponse = RESPONSE.toObject(RESPONSE.decode(bytes), { longs: String });
    const part = parsePart(message);
    claimed = part.position.digest;
    const receipt = session.receive(part);
    if (receipt.kind === 'refused') this.refusals++;
    if (receipt.kind === 'applied') this.#check(describeFacts(receipt.facts), part.isSnapshot);
    if (!('reply' in receipt) || receipt.reply.kind !== 'applied') return;
    const { revision, digest } = receipt.reply;
    if (this.#isDeaf) {
      this.#isDeaf = false;
      return;
    }
    if (revision === this.#sent) this.#sent = undefined;
    this.#link.acknowledge(revision, digest);
  }

  /** Every state is one that the server held, and a delta never leads to an earlier one. */
  #check(state: string, isSnapshot: boolean): void {
    const next = this.#history.indexOf(state, this.#seen);
    if (next === -1 && !isSnapshot) throw new Error('a state that never was, or an earlier one');
    const any = next === -1 ? this.#history.indexOf(state) : next;
    if (any === -1) throw new Error('a state that never was');
    this.#seen = any;
  }
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

interface Run {
  readonly isFaulty: boolean;
  readonly epochOf?: (life: number) => string;
}

/** Runs the steps; then delivers all and says in what an agent differs from the server, if in anything. */
async function differenceAfter(steps: readonly Step[], options: Run): Promise<string | undefined> {
  const world = new SyncWorld(options.epochOf);
  for (const id of agentIds) world.putAgent(id, []);
  const agents = agentIds.map((id) => new Agent(world, id));
  for (const agent of agents) agent.note();
  for (const agent of agents) agent.connect();
  for (const step of steps) {
    perform(world, agents, step);
    await turn();
  }
  for (const agent of agents) if (!agent.isConnected) agent.connect();
  await quiesce(agents);
  // What never comes to its end is ended by the server after a while.
  for (const agent of agents) if (agent.isWaitedFor) agent.connect();
  await quiesce(agents);
  world.hub.close();
  for (const agent of agents) {
    const { id, replica, refusals } = agent;
    const facts = replica.state();
    if (facts === undefined) return `${id.toString()} knows nothing`;
    if (describeFacts(facts) !== agent.expected()) return `${id.toString()} knows otherwise`;
    if (!options.isFaulty && refusals > 0)
      return `${id.toString()} was sent what it had to discard`;
  }
  return undefined;
}

async function quiesce(agents: readonly Agent[]): Promise<void> {
  for (let delivered = 0; delivered < 5_000; ) {
    await turn();
    if (agents.every(({ queue }) => queue.length === 0)) return;
    for (const agent of agents) {
      for (let left = agent.queue.length; left > 0; left--, delivered++) agent.receive();
    }
  }
  throw new Error('no end of updates');
}

function perform(world: SyncWorld, agents: readonly Agent[], step: Step): void {
  const agent = 'agent' in step ? agents[step.agent] : undefined;
  switch (step.do) {
    case 'entries':
      world.changeEntries(...step.steps);
      break;
    case 'bundles':
      world.trustMap.set(
        numberedBundle(testTrustDomain.name, step.own),
        ...step.foreign.map(([name, number]) => numberedBundle(name, number)),
      );
      break;
    case 'terms':
      world.trustMap.setTerms(
        ...step.terms.map(([name, paths]) => [name, testTerms(name, ...paths)] as const),
      );
      break;
    case 'release':
      if (agent) agent.takesTerms = step.takesTerms;
      agent?.connect();
      break;
    case 'revocations':
      world.setRevocations(
        step.ids.map((id) =>
          testRevocation(id, { expiresAt: world.clock.now() + 86_400_000 + step.until }),
        ),
      );
      break;
    case 'node':
      if (agent) world.putAgent(agent.id, step.shown.map(parseSelector));
      break;
    case 'restart':
      world.restart();
      for (const each of agents) each.connect();
      break;
    case 'idle':
      world.clock.advance(400_000);
      break;
    case 'leave':
      agent?.leave();
      break;
    case 'break':
      agent?.connect();
      break;
    case 'deliver':
      for (let part = 0; part < step.parts; part++) agent?.receive();
      break;
    case 'forget':
      agent?.forget();
      break;
    default:
      disturb(agent?.queue ?? [], step.do, step.at);
  }
  for (const each of agents) each.note();
}

function disturb(queue: Uint8Array[], how: 'drop' | 'double' | 'swap', at: number): void {
  const [part, next] = [queue[at], queue[at + 1]];
  if (part === undefined) return;
  if (how === 'drop') queue.splice(at, 1);
  else if (how === 'double') queue.push(part);
  else if (next !== undefined) queue.splice(at, 2, next, part);
}

const orderly = fc.array(fc.oneof(serverStep, lifeStep), { maxLength: 50, size: 'max' });
const faulty = fc.array(fc.oneof(serverStep, lifeStep, faultStep), { maxLength: 60, size: 'max' });

const inOrder = fc.asyncProperty(orderly, async (steps) => {
  const difference = await differenceAfter(steps, { isFaulty: false });
  if (difference !== undefined) throw new Error(difference);
});
const disturbed = fc.asyncProperty(faulty, async (steps) => {
  const difference = await differenceAfter(steps, { isFaulty: true });
  if (difference !== undefined) throw new Error(difference);
});

const MISTAKE = /knows (nothing|otherwise)|had to discard|state that never was|no end of updates/u;

afterEach(() => vi.restoreAllMocks());

describe('what an agent knows (F6)', () => {
  it('is what the server holds once all is delivered, over breaks, restarts and long absence', async () => {
    await expect(fc.assert(inOrder, { numRuns: 300 })).resolves.toBeUndefined();
  });

  it('is never torn and never goes back, whatever is dropped, doubled or swapped, and is right after the next stream', async () => {
    await expect(fc.assert(disturbed, { numRuns: 300 })).resolves.toBeUndefined();
  });
});

describe('a mistake in sync is found when', () => {
  const found = async (property: typeof inOrder | typeof disturbed): Promise<string> => {
    const settings = { numRuns: 300, endOnFailure: true };
    const { errorInstance } = await fc.check<[Step[]]>(property, settings);
    return errorInstance instanceof Error ? errorInstance.message : 'nothing';
  };

  it('a publisher forgets all but the first of changes', async () => {
    const { change } = SyncPublisher.prototype;
    vi.spyOn(SyncPublisher.prototype, 'change').mockImplementation(function (
      this: SyncPublisher,
      keys,
    ) {
      change.call(this, [...keys].slice(0, 1));
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('a publisher forgets what changes while an update is in flight', async () => {
    const { change, next, acknowledge } = SyncPublisher.prototype;
    const inFlight = new WeakSet<object>();
    vi.spyOn(SyncPublisher.prototype, 'change').mockImplementation(function (
      this: SyncPublisher,
      keys,
    ) {
      if (!inFlight.has(this)) change.call(this, keys);
    });
    vi.spyOn(SyncPublisher.prototype, 'next').mockImplementation(function (this: SyncPublisher) {
      const update = next.call(this);
      if (update !== undefined) inFlight.add(this);
      return update;
    });
    vi.spyOn(SyncPublisher.prototype, 'acknowledge').mockImplementation(function (
      this: SyncPublisher,
      ...args
    ) {
      inFlight.delete(this);
      return acknowledge.apply(this, args);
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('a publisher takes what it sent for received when a stream breaks', async () => {
    const { next, resume } = SyncPublisher.prototype;
    const sent = new WeakMap<object, Position>();
    vi.spyOn(SyncPublisher.prototype, 'next').mockImplementation(function (this: SyncPublisher) {
      const update = next.call(this);
      if (update !== undefined) sent.set(this, update.position);
      return update;
    });
    vi.spyOn(SyncPublisher.prototype, 'resume').mockImplementation(function (
      this: SyncPublisher,
      position,
    ) {
      resume.call(this, position && (sent.get(this) ?? position));
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('a publisher takes a discarded update for applied', async () => {
    const { next, acknowledge } = SyncPublisher.prototype;
    const sent = new Map<number, string>();
    vi.spyOn(SyncPublisher.prototype, 'next').mockImplementation(function (this: SyncPublisher) {
      const update = next.call(this);
      if (update !== undefined) sent.set(update.position.revision, update.position.digest);
      return update;
    });
    vi.spyOn(SyncPublisher.prototype, 'acknowledge').mockImplementation(function (
      this: SyncPublisher,
      revision,
      digest,
    ) {
      return acknowledge.call(this, revision, sent.get(revision) ?? digest);
    });
    expect(await found(disturbed)).toMatch(MISTAKE);
  });

  it('an agent believes every update', async () => {
    vi.spyOn(ReplicaState.prototype, 'digest', 'get').mockImplementation(() => claimed);
    expect(await found(disturbed)).toMatch(MISTAKE);
  });

  it('a closure tells only of the first of changes', async () => {
    const { watch } = EntryUnion.prototype;
    vi.spyOn(EntryUnion.prototype, 'watch').mockImplementation(function (
      this: EntryUnion,
      listener,
    ) {
      return watch.call(this, (changes) => listener(changes.slice(0, 1)));
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('a bundle or terms that change are told to nobody', async () => {
    const { changeTrust } = AgentSyncView.prototype;
    vi.spyOn(AgentSyncView.prototype, 'changeTrust').mockImplementation(function (
      this: AgentSyncView,
      changes,
    ) {
      changeTrust.call(this, changes);
      return new Set();
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('an agent of another release is taken for the one it was', async () => {
    const { connect } = SyncHub.prototype;
    const first = new Map<string, boolean>();
    vi.spyOn(SyncHub.prototype, 'connect').mockImplementation(function (
      this: SyncHub,
      id,
      hello,
      stream,
    ) {
      const takesTerms = first.get(id.path) ?? hello.takesTerms;
      first.set(id.path, takesTerms);
      return connect.call(this, id, { ...hello, takesTerms }, stream);
    });
    expect(await found(inOrder)).toMatch(MISTAKE);
  });

  it('two lives of a server have the same epoch', async () => {
    const property = fc.asyncProperty(orderly, async (steps) => {
      const options = { isFaulty: false, epochOf: () => 'life' };
      const difference = await differenceAfter(steps, options);
      if (difference !== undefined) throw new Error(difference);
    });
    expect(await found(property)).toMatch(MISTAKE);
  });
});
