import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { receiveDelta } from '../../src/xds/delta-stream.ts';
import type { Resource } from '../../src/xds/resource.ts';
import type { Absence, ResourceView } from '../../src/xds/resource-view.ts';
import { type Response, respond } from '../../src/xds/respond.ts';
import { receiveSotw, respondSotw } from '../../src/xds/sotw-stream.ts';
import { initialStreamState, type StreamState } from '../../src/xds/stream-state.ts';

const TTL_MS = 900;
const names = ['web', 'db'];
const encoded = { parts: [Buffer.alloc(1)], bytes: 1 };

type Content = Readonly<Record<string, string>>;

/** Versions that begin with "leased" have a TTL; words are absences. */
function viewOf(content: Content): ResourceView {
  const absences = new Map<string, Absence>([
    ['absent', 'absent'],
    ['withheld', 'withheld'],
  ]);
  return {
    names: [],
    resolve(name): Resource | Absence {
      const version = content[name] ?? 'absent';
      const ttlMs = version.startsWith('leased') ? TTL_MS : undefined;
      const ref = { name, kind: '', version, isReducible: false, ttlMs };
      return absences.get(version) ?? { ...ref, ref, sotw: encoded, delta: encoded };
    },
    withdrawal: () => undefined,
  };
}

interface Answer {
  readonly nonce: string;
  readonly refusal: string | undefined;
}

/**
 * A stream and an Envoy, which may be stopped for a while: it reads late, and drops what has expired
 * before it reads. It refuses versions that end in "bad", and heartbeats of what it does not have.
 */
class Exchange {
  readonly isDelta: boolean;
  state: StreamState = initialStreamState;
  content: Content = {};
  now = 0;
  isStopped = false;
  readonly toServer: Answer[] = [];
  readonly toClient: Response[] = [];
  readonly held = new Map<string, { version: string; until: number }>();
  /** How often something was dropped because its time was up. */
  drops = 0;

  constructor(isDelta: boolean) {
    this.isDelta = isDelta;
    this.receive({ nonce: '', refusal: undefined }, names);
  }

  receive({ nonce, refusal }: Answer, subscribe: readonly string[] = []): void {
    const common = { typeUrl: '', nonce, refusal, node: undefined };
    const delta = { ...common, subscribe, unsubscribe: [], initialVersions: new Map() };
    const sotw = { ...common, names, versionInfo: '' };
    this.state = this.isDelta
      ? receiveDelta(this.state, delta, this.now).state
      : receiveSotw(this.state, sotw, this.now).state;
  }

  pump(): void {
    const view = viewOf(this.content);
    const { state, response } = this.isDelta
      ? respond(this.state, view, this.now, 'heartbeat')
      : respondSotw(this.state, view, this.now);
    this.state = state;
    if (response !== undefined) this.toClient.push(response);
  }

  pass(ms: number): void {
    this.now += ms;
    if (!this.isStopped) this.expire();
  }

  expire(): void {
    for (const [name, { until }] of this.held) {
      if (until > this.now) continue;
      this.held.delete(name);
      this.drops++;
    }
  }

  read(): void {
    const response = this.isStopped ? undefined : this.toClient.shift();
    if (response === undefined) return;
    this.expire();
    const { nonce, resources, removed, heartbeats } = response;
    const isKnown = ({ name, version }: { name: string; version: string }): boolean =>
      this.isDelta && this.held.get(name)?.version === version;
    const isBad = resources.some(({ version }) => version.endsWith('bad'));
    const refusal = isBad || !heartbeats.every(isKnown) ? 'bad' : undefined;
    if (refusal === undefined) this.take(resources, removed, heartbeats);
    this.toServer.push({ nonce, refusal });
  }

  take(
    resources: readonly Resource[],
    removed: readonly string[],
    heartbeats: Response['heartbeats'],
  ): void {
    for (const { name, version, ttlMs } of resources) {
      this.held.set(name, { version, until: this.now + (ttlMs ?? Number.POSITIVE_INFINITY) });
    }
    for (const name of removed) this.held.delete(name);
    for (const { name, ttlMs } of heartbeats) {
      const one = this.held.get(name);
      if (one !== undefined) this.held.set(name, { ...one, until: this.now + ttlMs });
    }
  }

  serve(): void {
    const answer = this.toServer.shift();
    if (answer !== undefined) this.receive(answer);
  }

  /** Everybody is prompt for that long. */
  settle(ms: number): void {
    this.isStopped = false;
    for (let passed = 0; passed <= ms; passed += 50) {
      for (let turn = 0; turn < 12; turn++) {
        this.pump();
        this.read();
        this.serve();
      }
      this.pass(50);
    }
  }
}

const version = fc.constantFrom('1', 'leased 1', 'leased 2', 'leased bad', 'absent', 'withheld');
const step = fc.oneof(
  fc.record({ do: fc.constant('content' as const), name: fc.constantFrom(...names), version }),
  fc.record({ do: fc.constant('pass' as const), ms: fc.constantFrom(1, 299, 300, 301, 900, 2000) }),
  fc.record({ do: fc.constantFrom('pump' as const, 'read' as const, 'serve' as const) }),
  fc.record({ do: fc.constantFrom('stop' as const, 'go' as const) }),
);
type Step = Parameters<Parameters<typeof step.map>[0]>[0];

function take(exchange: Exchange, one: Step): void {
  if (one.do === 'content') exchange.content = { ...exchange.content, [one.name]: one.version };
  else if (one.do === 'pass') exchange.pass(one.ms);
  else if (one.do === 'stop' || one.do === 'go') exchange.isStopped = one.do === 'stop';
  else exchange[one.do]();
}

/** SotW cannot remove. */
function isInStep({ content, held, isDelta }: Exchange, name: string): boolean {
  const wanted = content[name] ?? 'absent';
  const has = held.get(name)?.version;
  if (wanted.endsWith('bad')) return has !== wanted;
  if (wanted === 'absent') return !isDelta || has === undefined;
  return wanted === 'withheld' || has === wanted;
}

describe.each([
  ['SotW', false],
  ['delta', true],
] as const)('%s, with resources that expire', (_kind, isDelta) => {
  it('ends with the client holding what the server has, whoever slept for how long', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const exchange = new Exchange(isDelta);
        for (const one of steps) take(exchange, one);
        exchange.settle(2 * TTL_MS);
        expect(names.filter((name) => !isInStep(exchange, name))).toEqual([]);
      }),
      { numRuns: 2000 },
    );
  });

  it('lets nothing expire while everybody is prompt, in delta not even before a refused version', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('leased 1', 'leased 2', ...(isDelta ? ['leased bad'] : [])), {
          maxLength: 8,
        }),
        (versions) => {
          const exchange = new Exchange(isDelta);
          exchange.content = { web: 'leased 1', db: 'leased 1' };
          exchange.settle(TTL_MS);
          for (const web of versions) {
            exchange.content = { ...exchange.content, web };
            exchange.settle(3 * TTL_MS);
          }
          expect(exchange.drops).toBe(0);
          expect(exchange.held.size).toBe(2);
        },
      ),
    );
  });
});
