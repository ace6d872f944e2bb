import type { Log, Metrics } from '../ops/index.ts';
import {
  type Clock,
  messageOf,
  type PolicyTaker,
  type PolicyTexts,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { DeliveredPolicies } from './host-facts.ts';
import type { PolicyCompiler, PolicySet, PolicySource } from './policy-source.ts';

export interface DeliveredOptions {
  readonly delivered: DeliveredPolicies;
  readonly compiler: Pick<PolicyCompiler, 'compile'>;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** Policies of the control plane, compiled where they are to decide. */
export interface DeliveredSource extends PolicySource {
  /** The version that `current` is of, by its hash. */
  version(): string | undefined;
  /** The version that cannot be taken, by its hash, while that is so. */
  refused(): string | undefined;
  close(): Promise<void>;
}

/** Follows what the servers tell. A version with a mistake in it, as it is read here, is refused: the last good one stays in force. */
export function followDelivered(options: DeliveredOptions): DeliveredSource {
  return new CompiledDelivery(options);
}

class CompiledDelivery implements DeliveredSource {
  readonly #options: DeliveredOptions;
  readonly #metrics;
  readonly #listeners = new Set<() => void>();
  readonly #stop: () => void;
  #good: { readonly hash: string; readonly set: PolicySet } | undefined;
  #refusal: { readonly hash: string; readonly fault: string } | undefined;
  /** The version that was looked at last. */
  #seen: string | undefined;
  /** The version that a thread which ended was about. */
  #unlucky: string | undefined;
  #compiling: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: DeliveredOptions) {
    this.#options = options;
    const { metrics } = options;
    this.#metrics = {
      loads: metrics.counter(
        'trustplane_authz_delivered_loads_total',
        'Versions of the policies of the control plane that were compiled, by result.',
        ['result'],
      ),
      version: metrics.gauge(
        'trustplane_authz_delivered_version_count',
        'Version of the policies of the control plane that is given to who decides.',
      ),
    };
    this.#stop = options.delivered.watch(() => this.#look());
    this.#look();
  }

  current(): PolicySet | undefined {
    return this.#good?.set;
  }

  version(): string | undefined {
    return this.#good?.hash;
  }

  fault(): string | undefined {
    return this.#refusal?.fault;
  }

  refused(): string | undefined {
    return this.#refusal?.hash;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    this.#listeners.clear();
    await this.#compiling;
  }

  /** What comes while one is compiled is looked at afterwards; of several the last. */
  #look(): void {
    const texts = this.#options.delivered.current();
    if (texts === undefined || this.#isClosed || texts.hash === this.#seen) return;
    this.#compiling ??= this.#compile(texts).finally(() => {
      this.#compiling = undefined;
      this.#look();
    });
  }

  /** Never rejects. */
  async #compile({ hash, version, files }: PolicyTexts): Promise<void> {
    this.#seen = hash;
    const { compiler, log } = this.#options;
    try {
      const texts = files.map(({ name, bytes }) => ({ name, text: decode(name, bytes) }));
      const set = await compiler.compile({ texts });
      this.#good = { hash, set };
      this.#refusal = undefined;
      this.#metrics.loads.inc({ result: 'ok' });
      this.#metrics.version.set(version);
      log.info({ version, digest: set.digest, rules: set.rules }, 'policies were delivered');
    } catch (error) {
      if (this.#isClosed) return;
      // The thread ended, for which the version may have no fault: it is tried once more.
      const isThread = error instanceof TrustplaneError && error.code === 'ERR_INTERNAL';
      if (isThread && this.#unlucky !== hash) {
        this.#unlucky = hash;
        this.#seen = undefined;
        return log.warn({ version, fault: messageOf(error) }, 'policies are compiled once more');
      }
      const fault = messageOf(error);
      this.#refusal = { hash, fault };
      this.#metrics.loads.inc({ result: 'refused' });
      log.error({ version, fault, inForce: this.#good?.set.digest }, 'policies are refused');
    }
    for (const listener of this.#listeners) listener();
  }
}

/** What is in force, as it decides; see AuthzServer. */
export interface Deciding {
  inForce(): string | undefined;
  watch(listener: () => void): () => void;
}

/**
 * Tells, now and after each change, which version of the policies decides. Returns the way to stop.
 * @param name of who decides, on this host
 */
export function watchTaker(
  name: string,
  source: Pick<DeliveredSource, 'current' | 'version' | 'fault' | 'refused' | 'watch'>,
  deciding: Deciding,
  clock: Clock,
  onTaker: (taker: PolicyTaker) => void,
): () => void {
  let inForce: Pick<PolicyTaker, 'hash' | 'digest' | 'since'> | undefined;
  let told = '';
  const look = (): void => {
    const digest = deciding.inForce();
    if (digest === undefined) inForce = undefined;
    else if (digest === source.current()?.digest && source.version() !== inForce?.hash)
      inForce = { hash: source.version(), digest, since: clock.now() };
    const none = { hash: undefined, digest: undefined, since: undefined };
    const state = { fault: source.fault(), refused: source.refused() };
    const taker: PolicyTaker = { name, ...(inForce ?? none), ...state };
    const text = JSON.stringify(taker);
    if (text === told) return;
    told = text;
    onTaker(taker);
  };
  const stops = [source.watch(look), deciding.watch(look)];
  look();
  return () => {
    for (const stop of stops) stop();
  };
}

/** As it is, save the mark at its beginning that says nothing. @throws Error when it is not UTF-8 */
function decode(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${name}: is not UTF-8`);
  }
}
