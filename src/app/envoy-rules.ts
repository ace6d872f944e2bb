import type { ExtensionConfig } from '../ecds/index.ts';
import { askForAll } from './ask-for-all.ts';
import type { BuiltRbac, PolicyMark, PooledRbac } from './pooled-rbac.ts';
import type { RbacTarget } from './rbac-export.ts';
import type { RbacPool } from './rbac-pool.ts';

/** An Envoy refused what it was sent. */
export interface RbacNack {
  readonly name: string;
  readonly refusal: string;
  /** What it refused. */
  readonly built: BuiltRbac;
  /** To be called with the rules that it is about, as `policy/rule`. */
  readonly onBlamed: (rules: readonly string[]) => void;
}

export interface EnvoyRulesOptions {
  readonly name: string;
  /** Or why it has none. */
  readonly target: RbacTarget | string;
  readonly pool: Pick<RbacPool, 'acquire' | 'release' | 'wanted'>;
  /** Told when something else is to be sent. */
  readonly onChange: () => void;
  /** Told when what follows may be another. */
  readonly onState: () => void;
  readonly onNack: (nack: RbacNack) => void;
}

/** What one filter of an Envoy decides by. */
export interface EnvoyRulesState {
  /** The policies in force; undefined: its default configuration denies. */
  readonly inForce: PolicyMark | undefined;
  /** Why those that are to be are not. */
  readonly fault: string | undefined;
  /** Those that the fault is of. */
  readonly refused: PolicyMark | undefined;
}

/** One configuration of one Envoy: what it is sent, and what it said. */
export class EnvoyRules {
  readonly #options: EnvoyRulesOptions;
  readonly #pooled: PooledRbac | undefined;
  readonly #listener = (): void => this.#look();
  /** Or told of. */
  #resolved: ExtensionConfig | undefined;
  /** The version that it has in force, and what that stood for then. */
  #acked: { readonly version: string; readonly mark: PolicyMark | undefined } | undefined;
  #nacked: { readonly version: string; readonly fault: string } | undefined;
  /** Has all asked about; from the first time on that it was wanted. */
  #fallback: ExtensionConfig | undefined;

  constructor(options: EnvoyRulesOptions) {
    this.#options = options;
    const { target, pool } = options;
    this.#pooled = typeof target === 'string' ? undefined : pool.acquire(target, this.#listener);
  }

  resolve(): ExtensionConfig | 'pending' | 'refused' {
    if (this.#pooled === undefined) return 'refused';
    this.#resolved = this.#wanted();
    return this.#resolved ?? 'pending';
  }

  onVerdict(version: string, refusal: string | undefined): void {
    const built = this.#pooled?.built;
    const mark = this.#pooled?.marks.get(version);
    const isFallback = version === this.#fallback?.version;
    if (refusal === undefined) {
      this.#acked = { version, mark };
      if (!isFallback) this.#nacked = undefined;
    } else if (!isFallback) {
      this.#refuse(version, refusal, built?.config.version === version ? built : undefined);
    }
    this.#options.onState();
  }

  state(): EnvoyRulesState {
    const { target, pool } = this.#options;
    if (typeof target === 'string')
      return { inForce: undefined, fault: target, refused: pool.wanted() };
    const inForce = this.#inForce();
    const { built, fault } = this.#pooled ?? {};
    if (this.#nacked !== undefined && this.#nacked.version === built?.config.version)
      return { inForce, fault: this.#nacked.fault, refused: built };
    return { inForce, fault, refused: fault === undefined ? undefined : pool.wanted() };
  }

  close(): void {
    if (this.#pooled !== undefined) this.#options.pool.release(this.#pooled, this.#listener);
  }

  /** What it cannot have while it is in front of Check, which older rules would have skipped, is asked about instead. */
  #wanted(): ExtensionConfig | undefined {
    const { target } = this.#options;
    const { built, fault } = this.#pooled ?? {};
    const isRefused = built !== undefined && this.#nacked?.version === built.config.version;
    if (typeof target === 'string' || target.kind !== 'rbac-before-check') return built?.config;
    if (fault === undefined && !isRefused) return built?.config;
    return (this.#fallback ??= askForAll(target.name));
  }

  /** The same bytes may stand for later policies than they were sent for. */
  #inForce(): PolicyMark | undefined {
    if (this.#acked === undefined) return undefined;
    const { version, mark } = this.#acked;
    // Check has what is wanted.
    if (version === this.#fallback?.version) return this.#options.pool.wanted();
    return this.#pooled?.marks.get(version) ?? mark;
  }

  #refuse(version: string, refusal: string, built: BuiltRbac | undefined): void {
    const { name, onNack, onState } = this.#options;
    this.#nacked = { version, fault: `${name}: Envoy refuses it: ${refusal}` };
    if (built === undefined) return;
    const onBlamed = (rules: readonly string[]): void => {
      if (this.#nacked?.version !== version || rules.length === 0) return;
      this.#nacked = {
        version,
        fault: `${name}: Envoy refuses ${rules.join(', ')}: ${refusal}`,
      };
      onState();
    };
    onNack({ name, refusal, built, onBlamed });
  }

  #look(): void {
    const { onChange, onState } = this.#options;
    const config = this.#wanted();
    if (config !== this.#resolved) {
      this.#resolved = config;
      onChange();
    }
    onState();
  }
}
