import { setTimeout as delay } from 'node:timers/promises';
import { type AdminClient, createAdminClient, type EntryView } from '../../src/client/index.ts';
import { changeEntry } from './change-entry.ts';
import type { SeededRandom } from './seeded-random.ts';

const WORKERS = 4;
const MOST_IDS = 400;
const PAUSE_MS = 10;
const PREFIX = 'drill-';
const PARENT = '/spire/agent/local/up';

/** What an entry was last set to; undefined when it was deleted. */
type Content = string | undefined;

/** Entries that are created, changed and deleted all the time, and what was acknowledged of it. */
export class EntryLoad {
  readonly #random: SeededRandom;
  readonly #adminSocket: string;
  readonly #acknowledged = new Map<string, Content>();
  /** What was under way when the server died: it may have been done, or not. */
  readonly #doubtful = new Map<string, Content>();
  #nextContent = 0;
  #count = 0;
  #onAcknowledged: (() => void) | undefined;

  constructor(adminSocket: string, random: SeededRandom) {
    this.#adminSocket = adminSocket;
    this.#random = random;
  }

  /** Operations that were acknowledged. */
  get count(): number {
    return this.#count;
  }

  /**
   * Begins; ends when `killed` aborts. Rejects when an operation fails before that.
   * Operations that fail after it are kept as doubtful.
   */
  async run(killed: AbortSignal): Promise<void> {
    const client = createAdminClient(this.#adminSocket);
    const work = async (worker: number): Promise<void> => {
      while (!killed.aborted) {
        const id = `${PREFIX}${worker + WORKERS * this.#random(MOST_IDS / WORKERS)}`;
        await this.#change(client, id, killed);
        await delay(PAUSE_MS);
      }
    };
    try {
      await Promise.all(Array.from({ length: WORKERS }, async (_, worker) => await work(worker)));
    } finally {
      client.close();
    }
  }

  /** Resolves when that many more operations have been acknowledged. */
  async acknowledgedMore(operations: number): Promise<void> {
    const goal = this.#count + operations;
    while (this.#count < goal)
      await new Promise<void>((resolve) => (this.#onAcknowledged = resolve));
  }

  /** How the server's entries differ from what was acknowledged; takes theirs over where it was in doubt. */
  compare(entries: readonly EntryView[]): string[] {
    const found = new Map(
      entries.filter(({ id }) => id.startsWith(PREFIX)).map(({ id, hint }) => [id, hint]),
    );
    const ids = new Set([...found.keys(), ...this.#acknowledged.keys(), ...this.#doubtful.keys()]);
    const wrong = [...ids].filter((id) => {
      const isAsAcknowledged = found.get(id) === this.#acknowledged.get(id);
      return (
        !isAsAcknowledged && !(this.#doubtful.has(id) && this.#doubtful.get(id) === found.get(id))
      );
    });
    for (const id of this.#doubtful.keys()) this.#acknowledged.set(id, found.get(id));
    this.#doubtful.clear();
    return wrong.map((id) => `${id}: ${found.get(id)}, not ${this.#acknowledged.get(id)}`);
  }

  async #change(client: AdminClient, id: string, killed: AbortSignal): Promise<void> {
    const exists = this.#acknowledged.get(id) !== undefined;
    const content = exists && this.#random(3) === 0 ? undefined : `content ${this.#nextContent++}`;
    try {
      await changeEntry(client, { id, parent: PARENT, exists, hint: content });
      this.#acknowledged.set(id, content);
      this.#count += 1;
      this.#onAcknowledged?.();
    } catch (error) {
      if (!killed.aborted) throw error;
      this.#doubtful.set(id, content);
    }
  }
}
