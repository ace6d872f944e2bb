import type { Log } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { ServerTrust, TlsIdentity } from '../wire/index.ts';
import { isUnavailable } from './call-error.ts';
import { raceInTurn } from './race-in-turn.ts';
import { type ServerAddress, ServerLink, type TimeReading } from './server-link.ts';

/** The next server is tried beside one that is silent for this long. */
const STAGGER_MS = 500;

export interface ServerPoolOptions {
  /** At least one. */
  readonly servers: readonly ServerAddress[];
  readonly identity: () => TlsIdentity | undefined;
  readonly trust: ServerTrust;
  readonly clock: Clock;
  /** From 0 to 1: agents spread over servers. */
  readonly random: () => number;
  readonly log: Log;
  /** Called when another server is in use, or none (undefined). */
  readonly onCurrent?: (server: string | undefined) => void;
  /** See `ServerLinkOptions`. */
  readonly onServerTime?: (reading: TimeReading) => void;
}

/**
 * The servers of the trust domain. One that answers is kept; when it fails, the others are tried, half
 * a second apart, and the first that answers takes its place.
 */
export class ServerPool {
  readonly #options: ServerPoolOptions;
  /** By address, in the order in which they are tried. */
  #links: ReadonlyMap<string, ServerLink> = new Map();
  #current: ServerLink | undefined;

  constructor(options: ServerPoolOptions) {
    this.#options = options;
    this.setServers(options.servers);
  }

  /** `host:port` of the server that answered last. */
  get current(): string | undefined {
    return this.#current?.name;
  }

  /** Calls that are under way go on to their end. */
  setServers(servers: readonly ServerAddress[]): void {
    const { random } = this.#options;
    const before = this.#links;
    const order = shuffled(servers, random).map((address) => [keyOf(address), address] as const);
    this.#links = new Map(
      order.map(([key, address]) => [key, before.get(key) ?? this.#createLink(address)]),
    );
    for (const [key, link] of before) {
      if (this.#links.has(key)) continue;
      if (link === this.#current) this.#setCurrent(undefined);
      link.close();
    }
  }

  /**
   * Does the work with one server after the other until one does not fail for being unavailable.
   * @throws what the work throws; when no server answers, why the first did not
   */
  async use<T>(work: (link: ServerLink) => Promise<T>): Promise<T> {
    const untried = new Set(this.#links.values());
    let failure: unknown;
    while (untried.size > 0) {
      const link = await this.#connect(untried, failure);
      try {
        return await work(link);
      } catch (error) {
        if (!isUnavailable(error)) throw error;
        failure ??= error;
        untried.delete(link);
        this.#leave(link, error);
      }
    }
    throw failure;
  }

  close(): void {
    for (const link of this.#links.values()) link.close();
  }

  #createLink(address: ServerAddress): ServerLink {
    const { identity, trust, clock, onServerTime } = this.#options;
    return new ServerLink({ address, identity, trust, clock, onServerTime });
  }

  /** The current server while it is connected, else whichever answers first. */
  async #connect(among: ReadonlySet<ServerLink>, failure: unknown): Promise<ServerLink> {
    const current = this.#current;
    if (current?.isConnected === true && among.has(current)) return current;
    const { clock, log } = this.#options;
    const order = [...among].sort((a, b) => Number(b === current) - Number(a === current));
    try {
      const attempts = order.map((link) => () => link.connect().then(() => link));
      const link = await raceInTurn(clock, STAGGER_MS, attempts);
      if (link !== this.#current) {
        log.info({ server: link.name }, 'using a server');
        this.#setCurrent(link);
      }
      return link;
    } catch (error) {
      throw failure ?? error;
    }
  }

  #leave(link: ServerLink, error: unknown): void {
    if (this.#current !== link) return;
    this.#options.log.warn({ server: link.name, error: messageOf(error) }, 'a server failed');
    this.#setCurrent(undefined);
  }

  #setCurrent(link: ServerLink | undefined): void {
    this.#current = link;
    this.#options.onCurrent?.(link?.name);
  }
}

/** Does the work with the first server that answers; every connection is closed afterwards. */
export async function withAnyServer<T>(
  options: ServerPoolOptions,
  work: (link: ServerLink) => Promise<T>,
): Promise<T> {
  const pool = new ServerPool(options);
  try {
    return await pool.use(work);
  } finally {
    pool.close();
  }
}

function keyOf({ host, port }: ServerAddress): string {
  return `${host} ${port}`;
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const left = [...items];
  const order: T[] = [];
  while (left.length > 0) {
    order.push(...left.splice(Math.floor(random() * left.length * 0.999_999), 1));
  }
  return order;
}
