import type { PolicySet, PolicySource } from '../../src/app/policy-source.ts';
import type { ExportedRbac, RbacCompiler, RbacOrder } from '../../src/app/rbac-export.ts';
import { RbacPool } from '../../src/app/rbac-pool.ts';
import { createRbacSource } from '../../src/app/rbac-source.ts';
import { RbacTakers } from '../../src/app/rbac-takers.ts';
import { packPlan } from '../../src/authz/index.ts';
import {
  type ExtensionClient,
  type ExtensionConfig,
  type ExtensionView,
  parseResourceName,
} from '../../src/ecds/index.ts';
import { createMetrics, type Log, type Metrics, silentLog } from '../../src/ops/index.ts';
import { type PolicyTaker, SpiffeId, TrustplaneError } from '../../src/spiffe/index.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeFacts, startFacts } from './fake-facts.ts';

/** Rules for Envoys, where policies and what compiles them are the test's. */
export class RbacGround {
  readonly clock: FakeClock = new FakeClock();
  readonly facts: FakeFacts = new FakeFacts(startFacts);
  readonly metrics: Metrics = createMetrics();
  readonly compiler: FakeRbacCompiler = new FakeRbacCompiler();
  readonly policies: FakePolicies = new FakePolicies();
  readonly takers: RbacTakers;
  readonly lines: { readonly fields: object; readonly message: string }[] = [];
  told: readonly PolicyTaker[] = [];
  readonly #source;

  /** @param ttlMs of what is sent */
  constructor(ttlMs?: number) {
    const { clock, facts, metrics, compiler, policies } = this;
    const note = (fields: object, message: string): void =>
      void this.lines.push({ fields, message });
    const log: Log = { ...silentLog, info: note, warn: note, error: note };
    const common = { clock, metrics, compiler, log };
    const claims = { namespace: 'jwt', key: 'payload' };
    const pool = new RbacPool({
      ...common,
      config: { ttlMs, perRuleStats: false },
      callers: { claims, jwtSvid: undefined, xfcc: undefined },
      policies,
      facts,
    });
    const onTakers = (takers: readonly PolicyTaker[]): void => void (this.told = takers);
    this.takers = new RbacTakers({ ...common, pool, onTakers });
    this.#source = createRbacSource({ pool, takers: this.takers });
  }

  /** An Envoy that asks for these, once what it is sent was made. */
  async ask(client: Partial<ExtensionClient>, ...names: readonly string[]): Promise<AskingEnvoy> {
    const envoy = new AskingEnvoy(names);
    const ids = [SpiffeId.parse('spiffe://a.test/api'), SpiffeId.parse('spiffe://a.test/other')];
    const known = { pid: 7, nodeId: 'web', version: [1, 40] as const, ids, ...client };
    envoy.view = this.#source.open(known, () => void envoy.changes++);
    envoy.look();
    await this.settle();
    return envoy;
  }

  /** Lets all that has begun end. */
  async settle(ms: number = 100): Promise<void> {
    await this.clock.advanceAsync(ms);
  }

  /** Until nothing more is compiled. */
  async rest(): Promise<void> {
    const { orders } = this.compiler;
    for (let made = -1; made !== orders.length; ) {
      made = orders.length;
      await this.settle(3_000);
    }
  }
}

export class AskingEnvoy {
  readonly #names: readonly string[];
  view: ExtensionView | undefined;
  changes = 0;

  constructor(names: readonly string[]) {
    this.#names = names;
  }

  look(): readonly (ExtensionConfig | string | undefined)[] {
    return this.#names.map((name) => this.view?.resolve(parseResourceName(name)));
  }

  /** What each has, as text. */
  texts(): readonly (string | undefined)[] {
    return this.look().map((one) =>
      typeof one === 'object' ? Buffer.from(one.bytes).toString() : one,
    );
  }

  /** Says of all that there is now that it is in force, or not. */
  say(refusal?: string): void {
    for (const one of this.look())
      if (typeof one === 'object') this.view?.onVerdict(one.name, one.version, refusal);
  }
}

/** Policies of a digest alone. */
class FakePolicies implements PolicySource {
  readonly #listeners = new Set<() => void>();
  #set: PolicySet | undefined;

  current(): PolicySet | undefined {
    return this.#set;
  }

  fault(): undefined {}

  version(): string | undefined {
    return this.#set && `hash of ${this.#set.digest}`;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(digest: string): void {
    this.#set = { digest, image: packPlan([], digest), rules: 1 };
    for (const listener of this.#listeners) listener();
  }
}

/** The bytes are the text of what they are made of. */
class FakeRbacCompiler implements RbacCompiler {
  readonly orders: RbacOrder[] = [];
  /** Digests that it refuses. */
  readonly bad = new Set<string>();
  /** Revoked IDs that it refuses. */
  readonly badIds = new Set<string>();
  /** What comes next is an end of the thread. */
  dies = false;
  /** How large what it makes says it is; undefined: as it is. */
  bytes: number | undefined;
  /** How often it was asked which rules a refusal is about. */
  blamed = 0;

  async exportRbac(order: RbacOrder): Promise<ExportedRbac> {
    this.orders.push(order);
    await settle();
    if (this.dies) {
      this.dies = false;
      throw new TrustplaneError('ERR_INTERNAL', 'the thread ended');
    }
    const { digest, terms, service, layout } = order;
    if (this.bad.has(digest) || terms.revokedIds.some((id) => this.badIds.has(id)))
      throw new TrustplaneError('ERR_POLICY', `${digest} is too much`);
    // Digests that end in + say the same to Envoy.
    const said = [digest.replace('+', ''), service.spiffeId, layout, ...terms.revokedIds];
    const text = Buffer.from([...said, ...(terms.isBlind ? ['blind'] : [])].join());
    const bytes = new Uint8Array(this.bytes ?? text.length);
    bytes.set(text);
    const version = text.toString('hex');
    const envoy = digest === 'no rules' ? 0 : 1;
    return { bytes, version, shares: { envoy, check: 0, both: 0 }, left: [] };
  }

  async blame(_: RbacOrder, refusal: string): Promise<readonly string[]> {
    this.blamed++;
    await settle();
    return refusal.includes('regex') ? ['p/glob'] : [];
  }
}
