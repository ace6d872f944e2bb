import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, type Timer, TrustplaneError } from '../spiffe/index.ts';
import {
  type Bucket,
  BucketFeed,
  decodeLease,
  Lease,
  type LeaseRecord,
  unlessConflict,
} from '../store/index.ts';
import { boundEvidence, type Evidence } from './evidence.ts';
import { boundPolicyReport, type PolicyReport } from './policy-report.ts';
import { aboutServer, parseServer, type ServerRecord, serverKey } from './server-record.ts';
import { type SeenServer, ServerView } from './server-view.ts';

const TTL_MS = 15_000;
/** Between two records that are written because something changed. */
const SAY_EVERY_MS = 200;

export interface ServerDirectoryOptions {
  /** The bucket `leases`. */
  readonly bucket: Bucket;
  readonly serverId: string;
  /** Of this life of the server. */
  readonly incarnation: string;
  /** What tells the data directory, which this process holds alone, from others on this machine. */
  readonly place: string | undefined;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Another process has this server's ID, which is the end of this one. */
  readonly onReplaced: (error: TrustplaneError) => void;
}

/**
 * The servers of a control plane. Each has its ID for itself, by a lease; in it stands what the others are to
 * know: where it is, and what its agents have confirmed.
 */
export class ServerDirectory {
  readonly #options: ServerDirectoryOptions;
  readonly #startedAt: number;
  readonly #view: ServerView;
  readonly #feed: BucketFeed;
  readonly #listeners = new Set<() => void>();
  readonly #standingListeners = new Set<(isStanding: boolean) => void>();
  readonly #lease: Lease;
  #following: Promise<void> = Promise.resolve();
  #address: string | undefined;
  #signsWith: () => string | undefined = () => undefined;
  #evidence: () => Evidence | undefined = () => undefined;
  #policies: () => PolicyReport | undefined = () => undefined;
  #said = '';
  #sayTimer: Timer | undefined;
  #isStanding = true;
  #isReplaced = false;
  /** Its own renewals, which the others see, did not come back here. */
  #isDeaf = true;
  #hearing: Timer | undefined;
  #stopJudging = (): void => {};

  private constructor(options: ServerDirectoryOptions, lease: Lease, startedAt: number) {
    this.#options = options;
    this.#lease = lease;
    this.#startedAt = startedAt;
    this.#view = new ServerView({ ...options, onChange: () => this.#tell() });
    this.#feed = new BucketFeed({
      ...options,
      prefix: serverKey(''),
      what: 'servers',
      target: {
        onSnapshot: (snapshot) => {
          this.#view.onSnapshot(snapshot);
          this.#listen();
          this.#tell();
        },
        onEvent: (event) => {
          this.#view.onEvent(event);
          if (event.key !== this.#ownKey) return;
          if (this.#isDeaf) this.#feed.readAgain();
          else this.#listen();
        },
      },
    });
    options.metrics.readGauge(
      'trustplane_servers_current_count',
      'Servers of the control plane that renew their lease, this one included.',
      (set) => set({}, this.others.filter(({ isLive }) => isLive).length + 1),
    );
    options.metrics.readGauge(
      'trustplane_servers_clock_ahead_seconds',
      'How far the clock of another server is ahead of the one here, at least; the most.',
      (set) => set({}, this.clockAheadMs / 1_000),
    );
  }

  /**
   * Takes the ID, waiting for the lease of a process that died with it.
   * @throws TrustplaneError ERR_SERVER_ID_TAKEN when a server that lives has it; ERR_STORE_*
   */
  static async join(options: ServerDirectoryOptions): Promise<ServerDirectory> {
    const startedAt = options.clock.now();
    const about = (): unknown => directory?.about() ?? aboutOf(options, startedAt);
    let directory: ServerDirectory | undefined;
    const lease = await openLease(options, about);
    try {
      await taken(lease, options.serverId);
      directory = new ServerDirectory(options, lease, startedAt);
      await directory.#feed.load();
    } catch (error) {
      await lease.close();
      throw error;
    }
    directory.#begin();
    return directory;
  }

  /** The others: those who are live, and those who are gone but whose agents are waited for. */
  get others(): readonly SeenServer[] {
    return this.#view.servers;
  }

  /** As this one says of itself. */
  get own(): ServerRecord | undefined {
    return parseServer(this.#ownKey, this.#lease.record);
  }

  /**
   * What is known of the others is what they say now. Else they may be taken for gone who are not: until all that
   * they say is read again, nothing that rests on it may be done.
   */
  get isCurrent(): boolean {
    return this.isStanding && !this.#isDeaf;
  }

  /** This server is known to the others as one that lives. */
  get isStanding(): boolean {
    return this.#lease.isMine;
  }

  /** Another live server signs. */
  get othersSign(): boolean {
    return this.others.some(({ isLive, record }) => isLive && record?.signsWith !== undefined);
  }

  /** How far the clock of any other server is ahead of the one here, as far as that can be told; at least 0. */
  get clockAheadMs(): number {
    return Math.max(0, ...this.others.map(({ aheadMs }) => aheadMs));
  }

  get #ownKey(): string {
    return serverKey(this.#options.serverId);
  }

  /** Calls the listener after whatever may be of interest; returns the way to stop. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls the listener when `isStanding` has changed; returns the way to stop. */
  watchStanding(listener: (isStanding: boolean) => void): () => void {
    this.#standingListeners.add(listener);
    return () => this.#standingListeners.delete(listener);
  }

  /** Another server that renews its lease has the ID. */
  isLive(serverId: string): boolean {
    return this.#view.isLive(serverKey(serverId));
  }

  /** Where agents reach this server, from now on. */
  sayAddress(address: string): void {
    this.#address = address;
    this.sayChanged();
  }

  /** Which authority signs, asked whenever the record is written. */
  sayWhatSigns(signsWith: () => string | undefined): void {
    this.#signsWith = signsWith;
    this.sayChanged();
  }

  /** Where the evidence is read whenever the record is written. */
  setEvidence(evidence: () => Evidence | undefined): void {
    this.#evidence = evidence;
    this.sayChanged();
  }

  /** Where what agents have of policies is read whenever the record is written. */
  setPolicies(policies: () => PolicyReport): void {
    this.#policies = policies;
    this.sayChanged();
  }

  /** What is said may have changed. */
  sayChanged(): void {
    this.#sayTimer ??= this.#options.clock.setTimer(SAY_EVERY_MS, () => {
      this.#sayTimer = undefined;
      if (JSON.stringify(this.#describe()) !== this.#said) this.#lease.renew();
    });
  }

  /** What goes into the lease now. */
  about(): unknown {
    const about = this.#describe();
    this.#said = JSON.stringify(about);
    return about;
  }

  /** Deletes what servers wrote that are gone since before `instant`, milliseconds since the epoch. @throws TrustplaneError ERR_STORE_* */
  async forget(instant: number): Promise<void> {
    const { bucket } = this.#options;
    const { records } = await bucket.list(serverKey(''));
    for (const { key, value, revision } of records) {
      const { renewedAt = 0 } = decodeLease(value) ?? {};
      if (renewedAt >= instant || this.#view.isLive(key) || key === this.#ownKey) continue;
      await unlessConflict(() => bucket.delete(key, revision));
    }
  }

  /** The others know at once that it is gone. */
  async close(): Promise<void> {
    this.#sayTimer?.cancel();
    this.#hearing?.cancel();
    this.#stopJudging();
    this.#listeners.clear();
    this.#standingListeners.clear();
    this.#feed.close();
    await this.#following;
    this.#view.close();
    await this.#lease.close();
  }

  #describe(): unknown {
    const evidence = this.#evidence();
    const policies = this.#policies();
    return {
      ...aboutOf(this.#options, this.#startedAt),
      address: this.#address,
      signsWith: this.#signsWith(),
      evidence: evidence && boundEvidence(evidence),
      policies: policies && boundPolicyReport(policies),
    };
  }

  #begin(): void {
    this.#following = this.#feed.follow();
    this.#stopJudging = this.#lease.watch(() => this.#judge());
    this.#judge();
    this.sayChanged();
  }

  #listen(): void {
    this.#isDeaf = false;
    this.#hearing?.cancel();
    this.#hearing = this.#options.clock.setTimer(TTL_MS, () => {
      this.#isDeaf = true;
      this.#tell();
    });
  }

  #judge(): void {
    const { record, isMine } = this.#lease;
    const { incarnation, serverId, onReplaced, log } = this.#options;
    if (record !== undefined && record.holder !== incarnation && !this.#isReplaced) {
      this.#isReplaced = true;
      onReplaced(idTaken(serverId));
    }
    if (isMine === this.#isStanding) return;
    this.#isStanding = isMine;
    if (isMine) log.info({ serverId }, 'the other servers know again that this one lives');
    else log.error({ serverId }, 'the lease of this server ran out; to the others it is gone');
    for (const listener of this.#standingListeners) listener(isMine);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

function openLease(options: ServerDirectoryOptions, about: () => unknown): Promise<Lease> {
  const { serverId, incarnation, place } = options;
  const isGone = (record: LeaseRecord): boolean => {
    const former = parseServer(serverKey(serverId), record);
    // Whoever wrote from here held this directory, which this process holds now.
    return place !== undefined && former?.place === place;
  };
  const key = serverKey(serverId);
  return Lease.open({ ...options, key, holder: incarnation, ttlMs: TTL_MS, about, isGone });
}

/** Resolves when the lease is held, as soon as a holder who died with it has lost it. */
async function taken(lease: Lease, serverId: string): Promise<void> {
  if (lease.isMine) return;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const stop = lease.watch(() => {
    if (lease.isMine) resolve();
    // It was renewed: somebody lives.
    else if (lease.record !== undefined) reject(idTaken(serverId));
  });
  try {
    await promise;
  } finally {
    stop();
  }
}

function idTaken(serverId: string): TrustplaneError {
  return new TrustplaneError(
    'ERR_SERVER_ID_TAKEN',
    `another running server of this control plane has the ID ${serverId}; give each server a data directory of its own, and set server.id in none or differently in each`,
  );
}

function aboutOf(
  { version, place }: ServerDirectoryOptions,
  startedAt: number,
): ReturnType<typeof aboutServer> {
  return aboutServer({
    startedAt,
    version,
    place,
    address: undefined,
    signsWith: undefined,
    evidence: undefined,
    policies: undefined,
  });
}
