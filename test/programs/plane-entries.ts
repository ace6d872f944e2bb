import { setTimeout as delay } from 'node:timers/promises';
import { type AdminClient, createAdminClient, type EntryView } from '../../src/client/index.ts';
import { changeEntry } from './change-entry.ts';
import type { ServerMember } from './launch-control-plane.ts';
import { isPassing, type LiveServers } from './plane-members.ts';
import type { SeededRandom } from './seeded-random.ts';

const WORKERS = 6;
const MOST_IDS_EACH = 30;
const PAUSE_MS = 10;
const PREFIX = 'drill-';
const PARENT = '/host/alpha';

/** What an entry says; undefined: there is none. */
type Content = string | undefined;

/** How long writes took since it was last asked, in milliseconds. */
export interface WriteTimes {
  /** The longest time in which no server acknowledged any. */
  readonly gapMs: number;
  /** The slowest one that was acknowledged. */
  readonly slowestMs: number;
  readonly acknowledged: number;
  /** Nobody knows what became of them. */
  readonly doubtful: number;
}

/** Entries that are created, changed and deleted all the time, each time through any live server. */
export class PlaneEntries {
  readonly #servers: LiveServers;
  readonly #random: SeededRandom;
  readonly #clients = new Map<string, AdminClient>();
  readonly #acknowledged = new Map<string, Content>();
  /** Changes without an answer may still be made, or not: nothing else is done to these. */
  readonly #doubtful = new Map<string, Content>();
  readonly #spans: { readonly begin: number; readonly end: number }[] = [];
  #since = performance.now();
  #count = 0;
  #doubts = 0;
  #next = 0;
  #onAcknowledged = new Set<() => void>();

  constructor(servers: LiveServers, random: SeededRandom) {
    this.#servers = servers;
    this.#random = random;
  }

  /** Operations that were acknowledged. */
  get count(): number {
    return this.#count;
  }

  /** Ends when `stopped` aborts. Rejects when a change fails otherwise than for a server or store that is away. */
  async run(stopped: AbortSignal): Promise<void> {
    const work = async (): Promise<void> => {
      const own: string[] = [];
      while (!stopped.aborted) {
        await this.#change(own);
        await delay(PAUSE_MS);
      }
    };
    try {
      await Promise.all(Array.from({ length: WORKERS }, work));
    } finally {
      for (const client of this.#clients.values()) client.close();
    }
  }

  /** Resolves when that many more operations have been acknowledged. */
  async acknowledgedMore(operations: number): Promise<void> {
    const goal = this.#count + operations;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (): void => void (this.#count >= goal && resolve());
    this.#onAcknowledged.add(look);
    await promise;
    this.#onAcknowledged.delete(look);
  }

  /** How what a server says differs from what was acknowledged. */
  compare(entries: readonly EntryView[]): readonly string[] {
    const found = new Map(
      entries.filter(({ id }) => id.startsWith(PREFIX)).map(({ id, hint }) => [id, hint]),
    );
    const ids = new Set([...found.keys(), ...this.#acknowledged.keys(), ...this.#doubtful.keys()]);
    return [...ids].flatMap((id) => {
      const [has, should] = [found.get(id), this.#acknowledged.get(id)];
      if (has === should || (this.#doubtful.has(id) && has === this.#doubtful.get(id))) return [];
      return [`${id} is ${has}, not ${should}`];
    });
  }

  /** Begins anew each time. */
  times(): WriteTimes {
    const now = performance.now();
    const ends = [this.#since, ...this.#spans.map(({ end }) => end), now];
    const gaps = ends.slice(1).map((end, n) => end - (ends[n] ?? end));
    const lengths = this.#spans.map(({ begin, end }) => end - begin);
    const times = {
      gapMs: Math.max(...gaps),
      slowestMs: Math.max(0, ...lengths),
      acknowledged: lengths.length,
      doubtful: this.#doubts,
    };
    this.#since = now;
    this.#spans.length = 0;
    this.#doubts = 0;
    return times;
  }

  /** @param own IDs that this worker alone changes */
  async #change(own: string[]): Promise<void> {
    const isNew = own.length < MOST_IDS_EACH && this.#random(3) === 0;
    const known = own[this.#random(Math.max(1, own.length))];
    const id = isNew || known === undefined ? `${PREFIX}${this.#next++}` : known;
    if (id !== known) own.push(id);
    const before = this.#acknowledged.get(id);
    const content =
      before !== undefined && this.#random(3) === 0 ? undefined : `content ${this.#next++}`;
    const begin = performance.now();
    try {
      const change = { id, parent: PARENT, exists: before !== undefined, hint: content };
      await changeEntry(this.#clientOf(this.#servers.pick()), change);
      this.#acknowledged.set(id, content);
      this.#spans.push({ begin, end: performance.now() });
      this.#count += 1;
      for (const look of this.#onAcknowledged) look();
    } catch (error) {
      if (!isPassing(error)) throw new Error(`${id} to be ${content}`, { cause: error });
      this.#doubtful.set(id, content);
      this.#doubts += 1;
      own.splice(own.indexOf(id), 1);
    }
  }

  #clientOf({ name, adminSocket }: ServerMember): AdminClient {
    const client = this.#clients.get(name) ?? createAdminClient(adminSocket);
    this.#clients.set(name, client);
    return client;
  }
}
