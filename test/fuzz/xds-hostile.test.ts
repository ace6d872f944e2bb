import { EventEmitter } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createExtensionType } from '../../src/ecds/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import type { PeerProcess } from '../../src/wire/index.ts';
import { loadDiscoveryMessages } from '../../src/xds/discovery-messages.ts';
import { type DiscoveryCall, DiscoveryStream } from '../../src/xds/discovery-stream.ts';
import { LargeWrites } from '../../src/xds/large-writes.ts';
import { NameQuota } from '../../src/xds/name-quota.ts';
import { Pacer } from '../../src/xds/pacer.ts';
import { deltaProtocol, sotwProtocol } from '../../src/xds/stream-protocol.ts';
import { FakeClock, settle } from '../fakes/fake-clock.ts';
import { FakeExtensions } from '../fakes/fake-extensions.ts';
import { FakeWorkloadSource } from '../fakes/fake-workload-source.ts';
import { encodeRequest } from '../fakes/test-stream.ts';
import { textBundle, textIdentity, textUpdate } from '../fakes/test-updates.ts';

const messages = loadDiscoveryMessages();
const bundle = textBundle('a.test', ['ca a']);
const web = textUpdate([textIdentity('/web', 1)], [bundle]);
const nobody = textUpdate([], [bundle]);
const peer: PeerProcess = { pid: 7, uid: 7, gid: 7, startTime: '1', isAlive: () => true };
const names = ['trustplane.rbac', 'trustplane.rbac?policy=a', 'trustplane.network-rbac'];

/** A call of which the test is the client: what is written stays unread until it says so. */
class FakeCall extends EventEmitter {
  readonly unread: (() => void)[] = [];
  /** How often something was written while the last was not read. */
  overlaps = 0;
  failure: { code?: number; details?: string } | undefined;

  constructor() {
    super();
    this.on('error', (error) => (this.failure ??= error));
  }

  write(_: unknown, done: () => void): void {
    if (this.unread.length > 0) this.overlaps++;
    this.unread.push(done);
  }

  read(): void {
    this.unread.shift()?.();
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
}

class World {
  readonly source = new FakeWorkloadSource<PeerProcess>(web);
  readonly extensions = new FakeExtensions();
  readonly clock = new FakeClock();
  readonly call = new FakeCall();
  readonly stream: object;
  open = 0;

  constructor(kind: 'sotw' | 'delta') {
    const { source, extensions, clock, call } = this;
    const common = { log: silentLog, metrics: createMetrics() };
    const type = createExtensionType({ ...common, extensions });
    const context = {
      ...common,
      source,
      clock,
      label: 'ADS',
      codes: 'XDS' as const,
      types: [type],
      typeOf: (url: string) => (url === type.typeUrl ? type : undefined),
      streams: { opened: () => void this.open++, closed: () => void this.open-- },
      pacer: new Pacer(),
      nameQuota: new NameQuota('XDS'),
      largeWrites: new LargeWrites(),
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- it has what a stream needs of a call
    const served = call as unknown as DiscoveryCall;
    this.stream =
      kind === 'sotw'
        ? new DiscoveryStream(served, peer, sotwProtocol(messages, 'XDS'), context)
        : new DiscoveryStream(served, peer, deltaProtocol(messages, 'XDS'), context);
  }
}

const text = fc.oneof(
  fc.constantFrom(...names, '*', '', '\0', 'trustplane.rbac:spiffe://b.test/x'),
  fc.string({ unit: 'binary', maxLength: 30 }),
);
const list = fc.array(text, { maxLength: 4 });
const request = fc.record(
  {
    type_url: fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constant('type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig'),
      },
      { weight: 1, arbitrary: text },
    ),
    resource_names: list,
    resource_names_subscribe: list,
    resource_names_unsubscribe: list,
    initial_resource_versions: fc.dictionary(text, text, { maxKeys: 2 }),
    version_info: text,
    response_nonce: fc.oneof(fc.nat(6).map(String), text),
    error_detail: fc.record({ message: text }),
    node: fc.record({
      id: text,
      user_agent_name: fc.constantFrom('envoy', 'other'),
      user_agent_build_version: fc.record({
        version: fc.record({ major_number: fc.nat(3), minor_number: fc.nat() }),
      }),
    }),
  },
  { requiredKeys: ['type_url'] },
);
const damage = fc.option(fc.tuple(fc.nat(), fc.nat(255)), { freq: 20, nil: undefined });
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('ask' as const), request, damage }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('content' as const),
      name: fc.constantFrom(...names),
      answer: fc.oneof(
        fc.constantFrom('pending' as const, 'refused' as const),
        fc.record({ version: fc.constantFrom('1', '2'), ttlMs: fc.constantFrom(900, 5_000) }),
      ),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('identity' as const), is: fc.boolean() }) },
  // Either way: a clock may be set.
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.integer({ min: -60_000, max: 5_000 }),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer One> ? One : never;

function take(world: World, kind: 'sotw' | 'delta', one: Step): void {
  const { call, extensions, source, clock } = world;
  if (one.do === 'ask') {
    const bytes = encodeRequest(messages[`${kind}Request`], one.request);
    const [at, byte] = one.damage ?? [];
    if (at !== undefined && byte !== undefined && bytes.length > 0) bytes[at % bytes.length] = byte;
    call.emit('data', bytes);
  } else if (one.do === 'read') call.read();
  else if (one.do === 'content') extensions.publish(one.name, one.answer);
  else if (one.do === 'identity') source.publish(one.is ? web : nobody);
  else clock.advance(one.ms);
}

describe.each(['sotw', 'delta'] as const)('a stream of extension configurations, %s', (kind) => {
  it('survives any client: one response at a time, errors of ours, and nothing left behind', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40, size: 'max' }), async (steps) => {
        const world = new World(kind);
        for (const one of steps) take(world, kind, one);
        await settle();
        const { call, source, extensions } = world;
        expect(call.overlaps).toBe(0);
        expect([undefined, 3, 7, 8]).toContain(call.failure?.code);
        call.emit('close');
        await settle();
        expect([world.open, source.attached, extensions.opened]).toEqual([0, 0, 0]);
        expect(world.clock.timers).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});
