import { hash, randomUUID } from 'node:crypto';
import { TrustplaneError } from '../spiffe/index.ts';
import { Lease, type LeaseOptions } from '../store/index.ts';

/** After which the set of a server that died in the middle is free again; what is written is judged by its revision anyhow. */
const TTL_MS = 5_000;

/** Sets that are written to, by one apply at a time on all servers of a store. */
export class SetLocks {
  readonly #options: Pick<LeaseOptions, 'bucket' | 'clock' | 'log'>;
  readonly #serverId: string;
  /** Those that this server writes to. */
  readonly #busy = new Set<string>();

  constructor(options: Pick<LeaseOptions, 'bucket' | 'clock' | 'log'>, serverId: string) {
    this.#options = options;
    this.#serverId = serverId;
  }

  /** @throws TrustplaneError ERR_APPLY_CHANGED while another apply has the set, ERR_STORE_*, and what `work` does */
  async hold<Result>(set: string, work: () => Promise<Result>): Promise<Result> {
    if (this.#busy.has(set)) throw isBusy(set);
    this.#busy.add(set);
    try {
      return await this.#holdLease(set, work);
    } finally {
      this.#busy.delete(set);
    }
  }

  async #holdLease<Result>(set: string, work: () => Promise<Result>): Promise<Result> {
    const own = `${this.#serverId}.`;
    const lease = await Lease.open({
      ...this.#options,
      key: `apply.${hash('sha256', set, 'base64url')}`,
      holder: own + randomUUID(),
      ttlMs: TTL_MS,
      // Of a former life of this server: in this one it would be among the busy.
      isGone: ({ holder }) => holder.startsWith(own),
    });
    try {
      if (!lease.isMine) throw isBusy(set);
      return await work();
    } finally {
      await lease.close();
    }
  }
}

function isBusy(set: string): TrustplaneError {
  const message = `another apply of the set ${set} is under way; nothing was applied, apply again`;
  return new TrustplaneError('ERR_APPLY_CHANGED', message);
}
