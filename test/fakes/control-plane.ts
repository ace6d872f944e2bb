import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { AgentRegistry, JoinTokens } from '../../src/agents/index.ts';
import { AgentEntitlements, createRevokingEntries, SyncHub } from '../../src/api/index.ts';
import { completeConfig } from '../../src/app/config.ts';
import { defaultPaths } from '../../src/app/default-paths.ts';
import { latestIssue } from '../../src/app/latest-issue.ts';
import { cursorOver } from '../../src/app/open-sync.ts';
import type { Process } from '../../src/app/process.ts';
import { Reloader } from '../../src/app/reloader.ts';
import { openServerRole } from '../../src/app/server-role.ts';
import { createMetrics, Readiness, silentLog, Tracing } from '../../src/ops/index.ts';
import {
  generateP256KeyPair,
  parseX509Svid,
  SelectorSet,
  SpiffeId,
  TrustplaneError,
  verifyX509Svid,
} from '../../src/spiffe/index.ts';
import {
  type Bucket,
  createMemoryStore,
  type Store,
  type StoreEvent,
} from '../../src/store/index.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { overBucket } from './over-bucket.ts';
import { testTrustDomain } from './test-entries.ts';

const DAY_MS = 86_400_000;

/** A way to the store that can be cut, and on which changes can be held up. */
class StoreLine {
  readonly #store: Store;
  #isCut = false;
  #held: PromiseWithResolvers<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Whatever is asked fails from now on. */
  cut(): void {
    this.#isCut = true;
  }

  /** What is asked is answered again. */
  mend(): void {
    this.#isCut = false;
  }

  /** The server learns of no change until `release`; what it asks itself is answered. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  release(): void {
    this.#held?.resolve();
    this.#held = undefined;
  }

  get store(): Store {
    return {
      bucket: (name) => this.#over(this.#store.bucket(name)),
      close: async () => {},
    };
  }

  #over(bucket: Bucket): Bucket {
    const check = (): void => {
      if (this.#isCut) throw new TrustplaneError('ERR_STORE_UNAVAILABLE', 'the line is cut');
    };
    return overBucket(bucket, {
      get: async (...args) => (check(), await bucket.get(...args)),
      put: async (...args) => (check(), await bucket.put(...args)),
      delete: async (...args) => (check(), await bucket.delete(...args)),
      list: async (...args) => (check(), await bucket.list(...args)),
      scan: async (...args) => (check(), await bucket.scan(...args)),
      watch: (...args) => this.#late(bucket.watch(...args), check),
    });
  }

  async *#late(events: AsyncIterable<StoreEvent>, check: () => void): AsyncGenerator<StoreEvent> {
    for await (const event of events) {
      if (this.#held !== undefined) await this.#held.promise;
      check();
      yield event;
    }
  }
}

export type TestServer = Awaited<ReturnType<ControlPlaneWorld['start']>>;

/** Servers of one control plane over one memory store, each with its own clock, keys and way to the store. */
export class ControlPlaneWorld {
  readonly clock: FakeClock = new FakeClock();
  readonly store: Store = createMemoryStore({ clock: this.clock });
  readonly #clocks: FakeClock[] = [this.clock];
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'control-plane-'));
  #lives = 0;

  constructor() {
    onTestFinished(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  /** Moves all clocks, in small steps, so that none is ahead of what happened on another. */
  async advance(ms: number, stepMs: number = 500): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      for (const clock of this.#clocks) await clock.advanceAsync(Math.min(stepMs, left));
      await filesWritten();
    }
  }

  /** As `advance`, until it is so; throws when that takes too long. */
  async until(isSo: () => boolean, stepMs: number = 500): Promise<void> {
    for (let i = 0; i < 2_000; i++) {
      if (isSo()) return;
      await this.advance(stepMs, stepMs);
    }
    throw new Error('it never came to be');
  }

  /** As `advance`, while `work` is under way. */
  async during<T>(work: Promise<T>, stepMs: number = 500): Promise<T> {
    const states: string[] = [];
    const ended = work.finally(() => states.push('over'));
    ended.catch(() => {});
    await this.until(() => states.length > 0, stepMs);
    return await ended;
  }

  /** Starts a server, or a former one again, and waits until it can sign unless `isWaiting`. */
  async start(
    serverId: string,
    options: { readonly aheadMs?: number; readonly isWaiting?: boolean; caTtlMs?: number } = {},
  ) {
    const { aheadMs = 0, isWaiting = false, caTtlMs = DAY_MS } = options;
    const clock = aheadMs === 0 ? this.clock : new FakeClock(this.clock.now() + aheadMs);
    if (clock !== this.clock) this.#clocks.push(clock);
    const dataDir = path.join(this.#folder, serverId);
    const config = completeConfig(
      {
        trustDomain: testTrustDomain,
        server: {
          id: serverId,
          dataDir,
          ca: { ttl: caTtlMs },
          store: { type: 'jetstream', servers: ['nats://127.0.0.1:1'] },
        },
      },
      defaultPaths(0, {}),
    );
    mkdirSync(dataDir, { recursive: true });
    const line = new StoreLine(this.store);
    const metrics = createMetrics();
    const process = createTestProcess(clock, metrics);
    const role = await this.during(openServerRole(config, process, line.store));
    const common = { trustDomain: testTrustDomain, clock, log: silentLog, metrics };
    const { closing } = process;
    const agents = await AgentRegistry.load({ ...common, bucket: line.store.bucket('agents') });
    closing.defer(() => agents.close());
    const tokens = JoinTokens.create({
      ...common,
      bucket: line.store.bucket('tokens'),
      randomBytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
    });
    closing.defer(() => tokens.close());
    role.evidence.begin(agents);
    const entitlements = new AgentEntitlements(agents, role.entries);
    closing.defer(() => entitlements.close());
    const hub = new SyncHub({
      agents,
      entitlements,
      trustMap: role.trust,
      revocations: role.revocations,
      clock,
      metrics,
      epoch: `${serverId}-${++this.#lives}`,
      cursor: cursorOver(role, { agents }),
    });
    closing.defer(() => hub.close());
    const entries = createRevokingEntries({
      ...role,
      lastSvidEnd: () => clock.now() + DAY_MS,
      latestIssue: () => latestIssue(role.controlPlane, clock.now()),
      log: silentLog,
    });
    let isClosed = false;
    const close = async (): Promise<void> => {
      if (isClosed) return;
      isClosed = true;
      line.release();
      await this.during(closing.disposeAsync());
    };
    onTestFinished(close);
    if (!isWaiting) await this.during(role.ca.active);
    await settle();
    return {
      ...role,
      entries,
      registry: role.entries,
      id: serverId,
      clock,
      line,
      agents,
      tokens,
      hub,
      metrics,
      failed: process.failed,
      close,
      /** As by kill -9: nothing is freed. */
      kill: async (): Promise<void> => {
        line.cut();
        await close();
      },
      /** Signs for a workload; the leaf's serial number tells when it was issued. */
      async issue(name: string) {
        const { publicKey } = generateP256KeyPair();
        const svid = await role.ca.issueX509Svid({
          spiffeId: SpiffeId.of(testTrustDomain, `/${name}`),
          publicKey,
          ttlSeconds: 0,
          dnsNames: [],
        });
        return parseX509Svid(svid.certificateChain);
      },
      /** Throws when a peer that has this server's bundle does not take it. */
      verify(svid: ReturnType<typeof parseX509Svid>): void {
        verifyX509Svid(svid, role.trust.current().own, clock.now());
      },
    };
  }
}

/** Keys go to the disk, which takes time that no clock here knows. */
async function filesWritten(): Promise<void> {
  const isWriting = (): boolean =>
    process
      .getActiveResourcesInfo()
      .some((name) => name.startsWith('FSReq') || name === 'CloseReq');
  for (let idle = 0; idle < 2; idle = isWriting() ? 0 : idle + 1) await settle();
}

function createTestProcess(clock: FakeClock, metrics: Process['metrics']): Process {
  const { promise, resolve } = Promise.withResolvers<Error>();
  return {
    log: silentLog,
    logLevel: { level: 'info', configuredLevel: 'info' },
    metrics,
    tracing: new Tracing(clock),
    clock,
    uid: 0,
    noSelectors: SelectorSet.of([]),
    readiness: new Readiness(clock),
    reloader: new Reloader(silentLog),
    pages: new Map(),
    adminServices: [],
    listeners: new Set(),
    closing: new AsyncDisposableStack(),
    failed: promise,
    fail: resolve,
  };
}
