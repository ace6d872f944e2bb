import { setImmediate as nextTurn } from 'node:timers/promises';

/** What follows a part of the store. */
export interface StoreReader {
  /** Up to which revision it knows its part. */
  readonly revision: number;
  /** Resolves when it knows what another server's knew at that revision. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  catchUp(revision: number): Promise<void>;
}

/**
 * How much of the store is in what an agent was told. Agents bring it along to the next server, which may have
 * read less yet, and has it wait: what an agent knows never becomes older.
 */
export class StoreCursor {
  readonly #readers: readonly StoreReader[];

  /** @param readers in the same order on all servers */
  constructor(readers: readonly StoreReader[]) {
    this.#readers = readers;
  }

  /** Of all that is known now; `0-9 a-z` and dots. */
  current(): string {
    return this.#readers.map(({ revision }) => revision.toString(36)).join('.');
  }

  /**
   * Resolves when as much is known here. A cursor of another release says nothing.
   * @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_*
   */
  async catchUp(cursor: string): Promise<void> {
    const revisions = cursor.split('.').map((text) => Number.parseInt(text, 36));
    if (revisions.length !== this.#readers.length) return;
    await Promise.all(
      this.#readers.map(async (reader, index) => {
        const revision = revisions[index] ?? 0;
        if (reader.revision < revision) await reader.catchUp(revision);
      }),
    );
    // Views tell of their changes a turn later.
    await nextTurn();
  }
}
