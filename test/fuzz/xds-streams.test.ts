import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiveDelta } from '../../src/xds/delta-stream.ts';
import { type Response, respond } from '../../src/xds/respond.ts';
import { receiveSotw, respondSotw } from '../../src/xds/sotw-stream.ts';
import { initialStreamState, type StreamState } from '../../src/xds/stream-state.ts';
import { fakeView, SCOPED, WITHDRAWN } from '../fakes/fake-resource-view.ts';

/**
 * A server's stream and a client, with a queue of messages on the way in each direction; the order in
 * which content changes, the client changes its mind and messages arrive is arbitrary. The client
 * refuses versions that begin with "bad", and if it takes no lists, those that list SPIFFE IDs.
 */
abstract class Exchange<Request> {
  state: StreamState = initialStreamState;
  content: Record<string, string> = {};
  readonly wanted = new Set<string>();
  readonly held = new Map<string, string>();
  readonly toServer: Request[] = [];
  readonly toClient: Response[] = [];
  lastNonce = '';
  takesLists = true;
  /** What was refused alone since its content last changed or its name was last asked for. */
  readonly refused = new Set<string>();
  /** What no server may do. */
  readonly faults: string[] = [];
  /** Names that were let go: what comes of the old request may be taken for an answer to a new one. */
  readonly forgotten = new Set<string>();

  abstract send(more: { refusal?: string; subscribe?: string[]; unsubscribe?: string[] }): void;
  abstract receive(request: Request): StreamState;
  abstract next(): { state: StreamState; response: Response | undefined };

  setContent(name: string, version: string): void {
    if (this.content[name] !== version) this.refused.delete(name);
    this.content[name] = version;
  }

  want(name: string): void {
    if (this.wanted.has(name)) return;
    this.wanted.add(name);
    this.refused.delete(name);
    this.send({ subscribe: [name] });
  }

  forget(name: string): void {
    if (!this.wanted.delete(name)) return;
    this.held.delete(name);
    this.forgotten.add(name);
    this.send({ unsubscribe: [name] });
  }

  serve(): void {
    const request = this.toServer.shift();
    if (request !== undefined) this.state = this.receive(request);
  }

  write(): boolean {
    const { state, response } = this.next();
    this.state = state;
    if (response === undefined) return false;
    const names = [...response.resources.map(({ name }) => name), ...response.removed];
    if (new Set(names).size < names.length) this.faults.push(`${names.join()}: a name twice`);
    if (names.length === 0) this.faults.push('an empty response');
    for (const { name, version } of response.resources) {
      if (this.refused.has(`${name}=${version}`)) this.faults.push(`${name}=${version}: echoed`);
    }
    this.toClient.push(response);
    return true;
  }

  read(): void {
    const response = this.toClient.shift();
    if (response === undefined) return;
    this.lastNonce = response.nonce;
    const bad = response.resources.filter(({ version }) => this.refuses(version));
    if (bad.length === 0) {
      for (const { name, version } of response.resources) {
        if (this.wanted.has(name)) this.held.set(name, version);
      }
      for (const name of response.removed) this.held.delete(name);
    }
    this.send(bad.length === 0 ? {} : { refusal: 'bad' });
  }

  refuses(version: string): boolean {
    return version.startsWith('bad') || (!this.takesLists && version.startsWith(SCOPED));
  }

  /** Everything on its way arrives. */
  settle(): void {
    for (let turn = 0; turn < 1000; turn++) {
      const wrote = this.write();
      if (!wrote && this.toClient.length === 0 && this.toServer.length === 0) return;
      this.read();
      this.serve();
    }
    throw new Error('the exchange does not come to rest');
  }
}

class Sotw extends Exchange<Parameters<typeof receiveSotw>[1]> {
  send({ refusal }: { refusal?: string }): void {
    this.toServer.push({
      names: [...this.wanted],
      versionInfo: '',
      nonce: this.lastNonce,
      refusal,
      node: undefined,
      typeUrl: '',
    });
  }
  receive(request: Parameters<typeof receiveSotw>[1]): StreamState {
    return receiveSotw(this.state, request, 0).state;
  }
  next() {
    return respondSotw(this.state, fakeView(this.content), 0);
  }
}

class Delta extends Exchange<Parameters<typeof receiveDelta>[1]> {
  send(more: { refusal?: string; subscribe?: string[]; unsubscribe?: string[] }): void {
    const answers = more.subscribe === undefined && more.unsubscribe === undefined;
    this.toServer.push({
      subscribe: more.subscribe ?? [],
      unsubscribe: more.unsubscribe ?? [],
      initialVersions: new Map(),
      nonce: answers ? this.lastNonce : '',
      refusal: more.refusal,
      node: undefined,
      typeUrl: '',
    });
  }
  receive(request: Parameters<typeof receiveDelta>[1]): StreamState {
    return receiveDelta(this.state, request, 0).state;
  }
  next() {
    return respond(this.state, fakeView(this.content), 0, 'heartbeat');
  }
}

const name = fc.constantFrom('web', 'db', 'td:a', 'td:b');
const plainVersions = ['1', '2', '3', 'bad1', 'bad2', 'refused', 'pending'];
const scopedVersions = ['1', '2', 'bad1'].map((each) => SCOPED + each);
const version = fc.constantFrom(...plainVersions, ...scopedVersions);
const step = fc.oneof(
  fc.record({ do: fc.constant('content' as const), name, version }),
  fc.record({ do: fc.constantFrom('want' as const, 'forget' as const), name }),
  fc.record({ do: fc.constantFrom('serve' as const, 'write' as const, 'read' as const) }),
);

function take(exchange: Sotw | Delta, one: Parameters<Parameters<typeof step.map>[0]>[0]): void {
  switch (one.do) {
    case 'content':
      return exchange.setContent(one.name, one.version);
    case 'want':
      return exchange.want(one.name);
    case 'forget':
      return exchange.forget(one.name);
    case 'serve':
      return exchange.serve();
    case 'write':
      return void exchange.write();
    case 'read':
      return exchange.read();
  }
}

/** At rest the client has exactly what the server would tell a new one, save what it refuses. */
function findFaults(exchange: Sotw | Delta): string[] {
  const outOfStep = [...exchange.wanted].filter((wanted) => !isInStep(exchange, wanted));
  return [...exchange.faults, ...outOfStep.map((wanted) => `${wanted}: out of step`)];
}

function isInStep(exchange: Sotw | Delta, wanted: string): boolean {
  const whole = exchange.content[wanted] ?? 'refused';
  const held = exchange.held.get(wanted);
  const isNarrow = !exchange.takesLists || exchange.state.declined.has(wanted);
  const now = isNarrow ? whole.replace(SCOPED, '') : whole;
  if (exchange.refuses(now)) return held !== now;
  if (now !== 'refused' && now !== 'pending') return held === now;
  if (wanted.includes(':')) return held === undefined || held === WITHDRAWN;
  return exchange instanceof Sotw || exchange.forgotten.has(wanted) || held === undefined;
}

describe.each([
  ['SotW', () => new Sotw()],
  ['delta', () => new Delta()],
] as const)('%s, whatever happens in whatever order', (_kind, create) => {
  it('ends with the client holding what the server has (SDS-5, SDS-9)', () => {
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 80, size: 'max' }),
        fc.boolean(),
        (steps, takesLists) => {
          const exchange = create();
          exchange.takesLists = takesLists;
          // An xDS client that names nothing asks for everything; this one names what it wants.
          exchange.want('web');
          for (const one of steps) take(exchange, one);
          exchange.settle();
          expect(exchange.write()).toBe(false);
          expect(findFaults(exchange)).toEqual([]);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('never sends again what was refused alone, until it changes or is asked for anew (SDS-4)', () => {
    const good = fc.constantFrom('1', '2', '3');
    fc.assert(
      fc.property(
        fc.array(fc.tuple(name, version, good), { maxLength: 30, size: 'max' }),
        (changes) => {
          const exchange = create();
          for (const one of ['web', 'db', 'td:a', 'td:b']) exchange.want(one);
          exchange.settle();
          for (const [changed, to, back] of changes) {
            exchange.setContent(changed, to);
            exchange.settle();
            if (to.startsWith('bad')) exchange.refused.add(`${changed}=${to}`);
            exchange.settle();
            exchange.refused.clear();
            exchange.setContent(changed, back);
          }
          exchange.settle();
          expect(findFaults(exchange)).toEqual([]);
        },
      ),
      { numRuns: 500 },
    );
  });
});
