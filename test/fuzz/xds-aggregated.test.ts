import { EventEmitter } from 'node:events';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { silentLog } from '../../src/ops/index.ts';
import type { WorkloadAttachment, WorkloadListener } from '../../src/spiffe/index.ts';
import type { PeerProcess } from '../../src/wire/index.ts';
import type { TypedResponse } from '../../src/xds/discovery-response.ts';
import { DiscoveryStream, type StreamContext } from '../../src/xds/discovery-stream.ts';
import { loadDiscoveryMessages } from '../../src/xds/index.ts';
import { LargeWrites } from '../../src/xds/large-writes.ts';
import { NameQuota } from '../../src/xds/name-quota.ts';
import { Pacer } from '../../src/xds/pacer.ts';
import type { ResourceType } from '../../src/xds/resource-type.ts';
import { deltaProtocol, sotwProtocol } from '../../src/xds/stream-protocol.ts';
import { FakeClock, settle } from '../fakes/fake-clock.ts';
import { fakeView } from '../fakes/fake-resource-view.ts';
import { encodeRequest } from '../fakes/test-stream.ts';
import { textUpdate } from '../fakes/test-updates.ts';

const messages = loadDiscoveryMessages();
const urls = ['secrets', 'rules'] as const;
const names = ['one', 'two', 'three'];
type Kind = 'sotw' | 'delta';
type Url = (typeof urls)[number];

/** What there is of one type, and what the client has of it. It refuses versions that begin with "bad". */
class Side {
  readonly url: Url;
  content: Record<string, string> = {};
  readonly wanted: Set<string> = new Set();
  readonly held: Map<string, string> = new Map();
  nonce = '';
  onChange: () => void = () => {};

  constructor(url: Url) {
    this.url = url;
  }

  /** Of delta, the names that changed; of SotW, all. */
  request(
    kind: Kind,
    more: { subscribe?: string; unsubscribe?: string; refused?: boolean },
  ): Buffer {
    const { subscribe, unsubscribe, refused = false } = more;
    const isAnswer = subscribe === undefined && unsubscribe === undefined;
    const error_detail = refused ? { error_detail: { code: 3, message: 'bad' } } : {};
    const common = { type_url: this.url, ...error_detail };
    if (kind === 'sotw') {
      const list = { resource_names: [...this.wanted], response_nonce: this.nonce };
      return encodeRequest(messages.sotwRequest, { ...common, ...list });
    }
    return encodeRequest(messages.deltaRequest, {
      ...common,
      resource_names_subscribe: subscribe === undefined ? [] : [subscribe],
      resource_names_unsubscribe: unsubscribe === undefined ? [] : [unsubscribe],
      response_nonce: isAnswer ? this.nonce : '',
    });
  }

  /** Whether it is taken. */
  take({ nonce, resources, removed }: TypedResponse): boolean {
    this.nonce = nonce;
    if (resources.some(({ version }) => version.startsWith('bad'))) return false;
    for (const { name, version } of resources) {
      if (this.wanted.has(name)) this.held.set(name, version);
    }
    for (const name of removed) this.held.delete(name);
    return true;
  }
}

/** A call of which the test says when each write is done. */
class FakeCall extends EventEmitter {
  readonly toClient: TypedResponse[] = [];
  done: (() => void) | undefined;
  onWrite: (response: TypedResponse) => void = () => {};

  write(response: TypedResponse, done: () => void): boolean {
    this.onWrite(response);
    this.toClient.push(response);
    this.done = done;
    return true;
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
}

/** One aggregated stream of two types, and a client; every message waits until the test moves it. */
class Exchange {
  readonly kind: Kind;
  readonly sides: Readonly<Record<Url, Side>> = {
    secrets: new Side('secrets'),
    rules: new Side('rules'),
  };
  /** What no server may do. */
  readonly faults: string[] = [];
  readonly #call: FakeCall = new FakeCall();
  readonly #clock: FakeClock = new FakeClock();
  readonly #toServer: Buffer[] = [];
  #listener: WorkloadListener | undefined;
  /** Attestations since the last write. */
  #attested = 0;

  constructor(kind: Kind) {
    this.kind = kind;
    this.#call.on('error', (error: Error) => void this.faults.push(error.message));
    this.#call.onWrite = ({ typeUrl, resources, removed }) => {
      if (this.#call.done !== undefined) this.faults.push('two writes at once');
      if (this.#attested === 0) this.faults.push(`${typeUrl}: the caller was not attested again`);
      if (resources.length + removed.length === 0) this.faults.push('an empty response');
      this.#attested = 0;
    };
    const context = this.#context();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what a stream asks of it
    const peer = { pid: 1, uid: 0, isAlive: () => true } as unknown as PeerProcess;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what a stream does with it
    const call = this.#call as unknown as ServerDuplexStream<Buffer, TypedResponse>;
    if (kind === 'sotw')
      void new DiscoveryStream(call, peer, sotwProtocol(messages, 'XDS'), context);
    else void new DiscoveryStream(call, peer, deltaProtocol(messages, 'XDS'), context);
  }

  publish(): void {
    this.#attested++;
    this.#listener?.onUpdate(textUpdate([]));
  }

  change(url: Url, name: string, version: string): void {
    this.sides[url].content = { ...this.sides[url].content, [name]: version };
    this.sides[url].onChange();
  }

  want(url: Url, name: string): void {
    const side = this.sides[url];
    if (side.wanted.has(name)) return;
    side.wanted.add(name);
    this.#toServer.push(side.request(this.kind, { subscribe: name }));
  }

  forget(url: Url, name: string): void {
    const side = this.sides[url];
    if (!side.wanted.delete(name)) return;
    side.held.delete(name);
    this.#toServer.push(side.request(this.kind, { unsubscribe: name }));
  }

  serve(): void {
    const bytes = this.#toServer.shift();
    if (bytes === undefined) return;
    // The rate of requests is bounded.
    this.#clock.advance(1_000);
    this.#call.emit('data', bytes);
  }

  flush(): void {
    const { done } = this.#call;
    this.#call.done = undefined;
    done?.();
  }

  read(): void {
    const response = this.#call.toClient.shift();
    if (response === undefined) return;
    const side = urls.map((url) => this.sides[url]).find(({ url }) => url === response.typeUrl);
    if (side === undefined) return void this.faults.push(`${response.typeUrl}: no such type`);
    const refused = !side.take(response);
    this.#toServer.push(side.request(this.kind, { refused }));
  }

  /** Everything on its way arrives. */
  async settle(): Promise<void> {
    for (let quiet = 0, turn = 0; quiet < 2; turn++) {
      if (turn > 500) throw new Error('the exchange does not come to rest');
      const isQuiet =
        this.#toServer.length + this.#call.toClient.length === 0 && this.#call.done === undefined;
      quiet = isQuiet ? quiet + 1 : 0;
      this.serve();
      this.flush();
      this.read();
      // Pushes are spread over turns of the event loop.
      if (isQuiet) await settle();
    }
  }

  end(): void {
    this.#call.emit('end');
  }

  /** At rest the client has what there is, save what it refuses, of either type. */
  findFaults(): string[] {
    const outOfStep = urls.flatMap((url) =>
      [...this.sides[url].wanted]
        .filter((name) => !this.#isInStep(this.sides[url], name))
        .map((name) => `${url} ${name}: out of step`),
    );
    return [...this.faults, ...outOfStep];
  }

  #isInStep({ content, held }: Side, name: string): boolean {
    const there = content[name] ?? 'absent';
    if (there.startsWith('bad')) return held.get(name) !== there;
    if (there === 'withheld') return true;
    if (there === 'absent') return this.kind === 'sotw' || !held.has(name);
    return held.get(name) === there;
  }

  #context(): StreamContext {
    const types = urls.map((url) => typeOf(this.sides[url]));
    return {
      source: {
        attach: (_peer, listener): WorkloadAttachment => {
          this.#listener = listener;
          this.publish();
          return { close: () => {} };
        },
      },
      clock: this.#clock,
      log: silentLog,
      label: 'ADS',
      codes: 'XDS',
      types,
      typeOf: (typeUrl) => types.find((type) => type.typeUrl === typeUrl),
      streams: { opened: () => {}, closed: () => {} },
      pacer: new Pacer(),
      nameQuota: new NameQuota('XDS'),
      largeWrites: new LargeWrites(),
    };
  }
}

function typeOf(side: Side): ResourceType {
  return {
    typeUrl: side.url,
    metrics: { waiting: () => {}, sent: () => {}, settled: () => {} },
    nacks: { note: () => {} },
    open({ onChange }) {
      side.onChange = onChange;
      return {
        // A name that is not there is absent, unlike in the view of secrets.
        view: () => {
          const all = Object.fromEntries(names.map((name) => [name, 'absent']));
          return fakeView({ ...all, ...side.content });
        },
        sent: () => {},
        settled: () => {},
        report: () => {},
        close: () => {},
      };
    },
  };
}

const url = fc.constantFrom(...urls);
const name = fc.constantFrom(...names);
const version = fc.constantFrom('1', '2', '3', 'bad1', 'bad2', 'absent', 'withheld');
const step = fc.oneof(
  fc.record({ do: fc.constant('change' as const), url, name, version }),
  fc.record({ do: fc.constantFrom('want' as const, 'forget' as const), url, name }),
  fc.record({ do: fc.constantFrom('serve' as const, 'flush' as const, 'read' as const) }),
  fc.record({ do: fc.constant('publish' as const) }),
);
type Step = Parameters<Parameters<typeof step.map>[0]>[0];

function take(exchange: Exchange, one: Step): void {
  if (one.do === 'change') exchange.change(one.url, one.name, one.version);
  else if (one.do === 'want' || one.do === 'forget') exchange[one.do](one.url, one.name);
  else exchange[one.do]();
}

describe.each(['sotw', 'delta'] as const)('two types on one stream, %s', (kind) => {
  it('end with the client holding what there is of both, in whatever order things happen', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async (steps) => {
        const exchange = new Exchange(kind);
        // A client that names nothing of a type asks for everything.
        for (const one of urls) exchange.want(one, 'one');
        for (const one of steps) take(exchange, one);
        await exchange.settle();
        expect(exchange.findFaults()).toEqual([]);
        exchange.end();
      }),
      { numRuns: 500 },
    );
  });

  it('never wait for each other: what one refuses or does not answer holds nothing of the other', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, version), { maxLength: 12 }), async (changes) => {
        const exchange = new Exchange(kind);
        for (const one of names) for (const each of urls) exchange.want(each, one);
        exchange.change('secrets', 'one', '1');
        await exchange.settle();
        for (const [changed, to] of changes) exchange.change('rules', changed, to);
        exchange.change('secrets', 'one', '2');
        await exchange.settle();
        expect(exchange.sides.secrets.held.get('one')).toBe('2');
        expect(exchange.findFaults()).toEqual([]);
        exchange.end();
      }),
      { numRuns: 200 },
    );
  });
});
