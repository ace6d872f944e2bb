import { type AgentFacts, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import type { Position } from './position.ts';
import { type HeldItem, parseItem, ReplicaState } from './replica-state.ts';
import type { ItemKey } from './sync-item.ts';
import type { SyncRequest } from './sync-request.ts';
import type { SyncPart } from './sync-update.ts';

export interface SyncReplicaOptions {
  readonly trustDomain: TrustDomain;
  readonly agentVersion: string;
  /** The agent decides requests by policies of the control plane; asked for each stream. Default: it does not. */
  readonly takesPolicies?: (() => boolean) | undefined;
  /** The agent gives CRLs to those it serves. Default: it does not. */
  readonly takesCrls?: boolean | undefined;
  /** What was kept of an earlier life of the agent. */
  readonly restored?: { readonly facts: AgentFacts; readonly position: Position } | undefined;
}

/** What became of a part. `reply` is to be sent back. */
export type SyncReceipt =
  /** More parts are to come. */
  | { readonly kind: 'partial' }
  /** The update took effect; an empty one confirms that the agent stood at the present state. */
  | {
      readonly kind: 'applied';
      readonly facts: AgentFacts;
      readonly position: Position;
      readonly reply: SyncRequest;
    }
  /** The update does not lead to the state it names; a snapshot follows. */
  | { readonly kind: 'refused'; readonly reply: SyncRequest }
  /** The update is older than what is known. */
  | { readonly kind: 'stale' };

/** One stream of an agent. */
export interface SyncSession {
  /** The first message to send. */
  readonly hello: SyncRequest;
  /**
   * Takes the next part; on a stream that is not the last one opened it is stale.
   * @throws TrustplaneError ERR_SYNC_UPDATE, ERR_SYNC_LIMIT, ERR_SYNC_ENTRY, ERR_SYNC_BUNDLE,
   * ERR_SYNC_REVOCATION, ERR_SYNC_TERMS, ERR_SYNC_POLICIES, ERR_SYNC_CRL: the stream is to be closed; what was known before stands
   */
  receive(part: SyncPart): SyncReceipt;
}

/** The update that is coming in. */
interface Staged {
  readonly position: Position;
  readonly isSnapshot: boolean;
  readonly changes: Map<ItemKey, HeldItem | undefined>;
  bytes: number;
}

/** What one update may hold in all. */
const replicaLimits = { items: 250_000, bytes: 268_435_456 } as const;

/**
 * The agent's half: what the server told it. An update takes effect whole, and only when it leads
 * to the digest that it names.
 */
export class SyncReplica {
  readonly #options: SyncReplicaOptions;
  #state: ReplicaState = ReplicaState.empty;
  #position: Position | undefined;
  #facts: AgentFacts | undefined;
  #session: object | undefined;

  constructor(options: SyncReplicaOptions) {
    this.#options = options;
    const { restored } = options;
    if (restored === undefined) return;
    this.#facts = restored.facts;
    this.#state = ReplicaState.of(restored.facts);
    // Another release writes items in other bytes; then it is a snapshot.
    if (this.#state.digest === restored.position.digest) this.#position = restored.position;
  }

  /** What is known; undefined before the first update. */
  state(): AgentFacts | undefined {
    return this.#facts;
  }

  position(): Position | undefined {
    return this.#position;
  }

  /** Begins the one stream whose parts count from now on. */
  connect(): SyncSession {
    const id = {};
    this.#session = id;
    let staged: Staged | undefined;
    let epoch: string | undefined;
    const { agentVersion, takesPolicies, takesCrls = false } = this.#options;
    return {
      hello: {
        kind: 'hello',
        resume: this.#position,
        agentVersion,
        takesTerms: true,
        takesPolicies: takesPolicies?.() ?? false,
        takesCrls,
      },
      receive: (part) => {
        epoch ??= part.position.epoch;
        if (part.position.epoch !== epoch) throw fault('its epoch changed on the stream');
        if (this.#session !== id || this.#isStale(part, staged)) return { kind: 'stale' };
        staged = this.#stage(part, staged);
        if (!part.isLast) return { kind: 'partial' };
        const complete = staged;
        staged = undefined;
        return this.#finish(complete);
      },
    };
  }

  #isStale({ position }: SyncPart, staged: Staged | undefined): boolean {
    const known = this.#position;
    if (known?.epoch === position.epoch && position.revision <= known.revision) return true;
    return staged !== undefined && position.revision < staged.position.revision;
  }

  /** A part of another update than the one before begins anew. */
  #stage(part: SyncPart, before: Staged | undefined): Staged {
    const { position, isSnapshot } = part;
    const isNext = before?.position.revision === position.revision;
    const staged = isNext ? before : { position, isSnapshot, changes: new Map(), bytes: 0 };
    for (const { kind, bytes } of part.items) {
      const item = parseItem(kind, bytes, this.#options.trustDomain);
      staged.changes.set(item.key, item);
      staged.bytes += bytes.length;
    }
    for (const key of part.removed) staged.changes.set(key, undefined);
    if (staged.bytes > replicaLimits.bytes || staged.changes.size > replicaLimits.items) {
      const message = `an update: expected at most ${replicaLimits.items} items of ${replicaLimits.bytes} bytes in all`;
      throw new TrustplaneError('ERR_SYNC_LIMIT', message);
    }
    return staged;
  }

  #finish({ position, isSnapshot, changes }: Staged): SyncReceipt {
    const { revision, digest } = position;
    const state = (isSnapshot ? ReplicaState.empty : this.#state).with(changes);
    if (state.digest !== digest) {
      const standing = this.#position?.digest ?? '';
      return { kind: 'refused', reply: { kind: 'applied', revision, digest: standing } };
    }
    const facts = state.facts(this.#options.trustDomain);
    this.#state = state;
    this.#facts = facts;
    this.#position = position;
    return { kind: 'applied', facts, position, reply: { kind: 'applied', revision, digest } };
  }
}

function fault(why: string): TrustplaneError {
  return new TrustplaneError('ERR_SYNC_UPDATE', `an update of the server: ${why}`);
}
