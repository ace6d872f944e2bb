import { createHash } from 'node:crypto';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, SpiffeId, type TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import {
  type Bucket,
  BucketFeed,
  listPage,
  type PageRequest,
  type RecordPage,
  unlessConflict,
} from '../store/index.ts';
import {
  type AgentAttestation,
  type AgentSvid,
  type AttestedAgent,
  agentExpiresAt,
  canonicalSelectors,
  checkAgentId,
  checkAgentVersion,
  checkAttestation,
} from './agent.ts';
import { type AgentFilter, compileAgentFilter } from './agent-filter.ts';
import { agentKey, decodeAgentRecord, encodeAgentRecord } from './agent-record.ts';
import { type AgentChange, AgentView, type HeldAgent } from './agent-view.ts';
import { SharedReads } from './shared-reads.ts';
import {
  judgeSvid,
  refuseAttestation,
  refuseOvertaken,
  refuseTwin,
  requireAttested,
  requireReturning,
} from './svid-standing.ts';

/** How often a write is tried again after others changed the same agent. */
const MAX_ATTEMPTS = 32;
/** One answer's bounds; the bytes are of the agents as stored. */
const PAGE_LIMITS = { items: 1000, bytes: 2_097_152 } as const;

export interface AgentRegistryOptions {
  /** The bucket `agents`. */
  readonly bucket: Bucket;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Nobody but this registry writes the bucket, so its view is never behind what is acknowledged. Default: false. */
  readonly isSoleWriter?: boolean;
  /** How long after its last SVID an agent that cannot attest again may come back with its last key; default never. */
  readonly graceMs?: number;
}

type Standing = Pick<HeldAgent, 'agent' | 'revision'>;

/** Which expired agents `purge` deletes. */
export interface PurgeRequest {
  /** Milliseconds since the epoch: their last SVID ended before. */
  readonly expiredBefore: number;
  /** Also those that cannot attest again; default false. */
  readonly includeUnreattestable?: boolean;
  /** Also banned ones, which may then attest again; default false. */
  readonly includeBanned?: boolean;
}

/**
 * The attested agents of a trust domain. Whatever decides on an agent reads the store (unless nobody
 * else writes it) or ends in a compare-and-set there; `get`, `list`, `count` and `watch` are of the view in memory, which has each
 * write of this registry before that resolves.
 */
export class AgentRegistry {
  readonly #options: AgentRegistryOptions;
  readonly #view: AgentView;
  readonly #feed: BucketFeed;
  readonly #attestations;
  /** By the agent's path. */
  readonly #standings: SharedReads<Standing | undefined>;
  #following: Promise<void> = Promise.resolve();

  private constructor(options: AgentRegistryOptions) {
    this.#options = options;
    this.#view = new AgentView(options);
    this.#feed = new BucketFeed({
      ...options,
      what: 'agents',
      target: this.#view,
      closedCode: 'ERR_AGENT_CLOSED',
    });
    this.#standings = new SharedReads((path) => this.#readStanding(path));
    this.#attestations = options.metrics.counter(
      'trustplane_agents_attestations_total',
      'Attestations of agents that were accepted.',
      ['type'],
    );
  }

  /** Reads all agents and follows their changes until `close`. @throws TrustplaneError ERR_STORE_* */
  static async load(options: AgentRegistryOptions): Promise<AgentRegistry> {
    const registry = new AgentRegistry(options);
    await registry.#feed.load();
    registry.#following = registry.#feed.follow();
    return registry;
  }

  /** Up to which revision of the bucket it is known. */
  get revision(): number {
    return this.#feed.revision;
  }

  /** Resolves when all is known that another server knew at that revision; see BucketFeed. @throws TrustplaneError ERR_STORE_BEHIND, ERR_STORE_* */
  async catchUp(revision: number): Promise<void> {
    await this.#feed.catchUp(revision);
  }

  get(id: SpiffeId): AttestedAgent | undefined {
    return id.trustDomain.equals(this.#options.trustDomain)
      ? this.#view.at(id.path)?.agent
      : undefined;
  }

  /** In no particular order. */
  get all(): readonly AttestedAgent[] {
    return this.#view.all.map(({ agent }) => agent);
  }

  /** In order of their IDs. @throws TrustplaneError ERR_AGENT_PAGE */
  list(filter: AgentFilter, request: PageRequest): RecordPage<AttestedAgent> {
    const isMeant = compileAgentFilter(filter);
    const source = {
      ids: this.#view.paths,
      itemOf: (path: string) => {
        const agent = this.#view.at(path)?.agent;
        return agent !== undefined && isMeant(agent) ? agent : undefined;
      },
      bytesOf: ({ id }: AttestedAgent) => this.#view.at(id.path)?.bytes ?? 0,
      idPattern: /^\/[A-Za-z0-9._/-]{1,2047}$/u,
    };
    return listPage(source, request, PAGE_LIMITS, (message) => failure('ERR_AGENT_PAGE', message));
  }

  count(filter: AgentFilter = {}): number {
    if (Object.keys(filter).length === 0) return this.#view.size;
    const isMeant = compileAgentFilter(filter);
    return this.#view.all.filter(({ agent }) => isMeant(agent)).length;
  }

  /** Calls the listener, which must not throw, after each change of an agent; returns the way to stop. */
  watch(listener: (change: AgentChange) => void): () => void {
    return this.#view.watch(listener);
  }

  /**
   * Whether an agent may act now with the SVID it presents (already verified by TLS). The first use
   * of a renewed SVID ends the one before it.
   * @throws TrustplaneError ERR_AGENT_NOT_ATTESTED, ERR_AGENT_BANNED, ERR_AGENT_EXPIRED,
   * ERR_AGENT_NOT_ACTIVE, ERR_AGENT_RECORD, ERR_AGENT_CONFLICT, ERR_STORE_*
   */
  async authorize(id: SpiffeId, presented: AgentSvid): Promise<AttestedAgent> {
    const { trustDomain, clock } = this.#options;
    checkAgentId(id, trustDomain);
    const standing = await this.#standingOf(id);
    const agent = requireAttested(standing?.agent, id);
    if (judgeSvid(agent, presented, clock.now()) === 'current') {
      // What follows is made of the view, which is to be no older.
      await this.#feed.catchUp(standing?.revision ?? 0);
      return agent;
    }
    return await this.#change(id, (before) => {
      const renewed = requireAttested(before, id);
      const isCurrent = judgeSvid(renewed, presented, clock.now()) === 'current';
      if (isCurrent || renewed.renewedSvid === undefined) return renewed;
      return { ...renewed, svid: renewed.renewedSvid, renewedSvid: undefined };
    });
  }

  /**
   * Has an SVID issued to a node that has just been attested, records it, and only then gives it out:
   * every SVID the agent had before is void. Nothing is issued to a banned agent, nor on first use only
   * to one that is attested already; of any number at the same time one is.
   * @throws TrustplaneError ERR_AGENT_ID, ERR_AGENT_ATTESTATION, ERR_AGENT_BANNED,
   * ERR_AGENT_ATTESTED_BEFORE, ERR_AGENT_RECORD, ERR_AGENT_TOO_LARGE, ERR_AGENT_CONFLICT, ERR_AGENT_CLOSED, ERR_STORE_*; what `issue` throws
   */
  async attest<Svid extends AgentSvid>(
    attestation: AgentAttestation,
    issue: () => Svid | Promise<Svid>,
  ): Promise<Svid> {
    checkAttestation(attestation, this.#options.trustDomain);
    const { id, attestationType, canReattest, publicKey, twin } = attestation;
    const selectors = canonicalSelectors(attestation.selectors);
    const known = await this.#read(id);
    refuseAttestation(known, attestation);
    const isNew = known === undefined;
    await this.#refuseTwin(twin, isNew);
    const issued = await issue();
    const svid = recorded(issued, publicKey);
    await this.#change(id, (before) => {
      refuseAttestation(before, attestation);
      return {
        id,
        attestationType,
        selectors,
        svid,
        renewedSvid: undefined,
        banned: false,
        canReattest,
        agentVersion: before?.agentVersion ?? '',
        attestedAt: before?.attestedAt ?? this.#options.clock.now(),
      };
    });
    if (isNew) await this.#requireAlone(id, twin, svid);
    this.#attestations.inc({ type: attestationType });
    return issued;
  }

  /**
   * Has the next SVID of an agent issued, records it beside the present one, and only then gives it out.
   * @throws TrustplaneError ERR_AGENT_NOT_ATTESTED, ERR_AGENT_BANNED, ERR_AGENT_MUST_REATTEST,
   * ERR_AGENT_RECORD, ERR_AGENT_CONFLICT, ERR_AGENT_CLOSED, ERR_STORE_*; what `issue` throws
   */
  async renew<Svid extends AgentSvid>(
    id: SpiffeId,
    publicKey: Uint8Array,
    issue: () => Svid | Promise<Svid>,
  ): Promise<Svid> {
    const known = requireRenewable(await this.#read(id), id);
    const issued = await issue();
    const renewedSvid = recorded(issued, publicKey);
    await this.#change(id, (before) => ({
      ...refuseOvertaken(requireRenewable(before, id), known),
      renewedSvid,
    }));
    return issued;
  }

  /**
   * As `renew`, for an agent that has proved the key of its last SVID, which has expired: within the
   * grace that is configured, and never an agent that was banned or deleted.
   * @throws TrustplaneError as `renew`; ERR_AGENT_NOT_ACTIVE, ERR_AGENT_EXPIRED
   */
  async readmit<Svid extends AgentSvid>(
    id: SpiffeId,
    last: { readonly serialNumber: string; readonly publicKey: Uint8Array },
    publicKey: Uint8Array,
    issue: () => Svid | Promise<Svid>,
  ): Promise<Svid> {
    const { clock, graceMs = Number.NEGATIVE_INFINITY } = this.#options;
    const proved = { serialNumber: last.serialNumber, keyDigest: digestOf(last.publicKey) };
    const admit = (agent: AttestedAgent | undefined): AttestedAgent =>
      requireReturning(agent, id, proved, clock.now() - graceMs);
    const known = admit(await this.#read(id));
    const issued = await issue();
    const renewedSvid = recorded(issued, publicKey);
    await this.#change(id, (before) => ({
      ...refuseOvertaken(admit(before), known),
      renewedSvid,
    }));
    this.#attestations.inc({ type: 'last_key' });
    return issued;
  }

  /** Records what the agent says its version is. @throws TrustplaneError ERR_AGENT_VERSION, ERR_AGENT_NOT_ATTESTED, ERR_AGENT_BANNED, … as `renew` */
  async setVersion(id: SpiffeId, agentVersion: string): Promise<void> {
    checkAgentVersion(agentVersion);
    await this.#change(id, (before) => {
      const agent = requireAttested(before, id);
      return agent.agentVersion === agentVersion ? agent : { ...agent, agentVersion };
    });
  }

  /** From when this resolves the agent can do nothing, until `delete`. @throws TrustplaneError ERR_AGENT_NOT_FOUND, … as `renew` */
  async ban(id: SpiffeId): Promise<void> {
    await this.#change(id, (before) => {
      if (before === undefined) throw notFound(id);
      return before.banned ? before : { ...before, banned: true };
    });
  }

  /**
   * Evicts the agent: its SVIDs are void from when this resolves. It may attest again if it can, also
   * when it was banned.
   * @throws TrustplaneError ERR_AGENT_NOT_FOUND, ERR_AGENT_CLOSED, ERR_STORE_*
   */
  async delete(id: SpiffeId): Promise<void> {
    const wasBanned = this.get(id)?.banned === true;
    const revision = await this.#options.bucket.delete(agentKey(id));
    if (revision === undefined) throw notFound(id);
    if (wasBanned)
      this.#options.log.warn({ agent: id.toString() }, 'the ban of an agent is lifted');
    await this.#feed.reached(revision);
  }

  /** Deletes agents that expired long ago; one that changes meanwhile stays. Returns the deleted. @throws TrustplaneError ERR_AGENT_CLOSED, ERR_STORE_* */
  async purge(request: PurgeRequest): Promise<readonly SpiffeId[]> {
    const { expiredBefore, includeBanned = false, includeUnreattestable = false } = request;
    const meant = this.#view.all
      .filter(({ agent }) => agentExpiresAt(agent) < expiredBefore)
      .filter(({ agent }) => includeBanned || !agent.banned)
      .filter(({ agent }) => includeUnreattestable || agent.canReattest);
    const purged: SpiffeId[] = [];
    for (const held of meant) if (await this.#deleteUnchanged(held)) purged.push(held.agent.id);
    return purged;
  }

  /** Stops following; waiting writes reject with ERR_AGENT_CLOSED. */
  async close(): Promise<void> {
    this.#feed.close();
    await this.#following;
  }

  async #refuseTwin(twin: SpiffeId | undefined, isNew: boolean): Promise<void> {
    if (twin !== undefined) refuseTwin(await this.#read(twin), isNew);
  }

  /** Of two that joined at once each sees the other, or one does: who does goes. */
  async #requireAlone(
    id: SpiffeId,
    twin: SpiffeId | undefined,
    { serialNumber }: AgentSvid,
  ): Promise<void> {
    try {
      await this.#refuseTwin(twin, true);
    } catch (error) {
      const standing = await this.#readStanding(id.path);
      if (standing?.agent.svid.serialNumber === serialNumber) await this.#deleteUnchanged(standing);
      throw error;
    }
  }

  /** An agent that is not in the view is looked for, to tell why. */
  async #standingOf({ path }: SpiffeId): Promise<Standing | undefined> {
    const held = this.#options.isSoleWriter === true ? this.#view.at(path) : undefined;
    return held ?? (await this.#standings.read(path));
  }

  async #readStanding(path: string): Promise<Standing | undefined> {
    const { bucket, trustDomain } = this.#options;
    const key = agentKey(SpiffeId.of(trustDomain, path));
    const stored = await bucket.get(key);
    if (stored === undefined) return undefined;
    const agent = decodeAgentRecord(key, stored.value, trustDomain);
    return { agent, revision: stored.revision };
  }

  async #deleteUnchanged({ agent, revision }: Standing): Promise<boolean> {
    const { bucket } = this.#options;
    const deleted = await unlessConflict(() => bucket.delete(agentKey(agent.id), revision));
    if (deleted !== undefined) await this.#feed.reached(deleted);
    return deleted !== undefined;
  }

  async #read(id: SpiffeId): Promise<AttestedAgent | undefined> {
    const key = agentKey(id);
    const stored = await this.#options.bucket.get(key);
    return stored && decodeAgentRecord(key, stored.value, this.#options.trustDomain);
  }

  /** Writes what `edit` makes of the stored agent, unless it gives it back as it was. */
  async #change(
    id: SpiffeId,
    edit: (before: AttestedAgent | undefined) => AttestedAgent,
  ): Promise<AttestedAgent> {
    const { bucket, trustDomain } = this.#options;
    checkAgentId(id, trustDomain);
    const key = agentKey(id);
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const stored = await bucket.get(key);
      const before = stored && decodeAgentRecord(key, stored.value, trustDomain);
      const after = edit(before);
      if (after === before) return after;
      const value = encodeAgentRecord(after);
      const revision = await unlessConflict(() => bucket.put(key, value, stored?.revision ?? 0));
      if (revision === undefined) continue;
      await this.#feed.reached(revision);
      return after;
    }
    const message = `agent ${id.toString()} was changed by others ${MAX_ATTEMPTS} times meanwhile; try again`;
    throw failure('ERR_AGENT_CONFLICT', message);
  }
}

function requireRenewable(agent: AttestedAgent | undefined, id: SpiffeId): AttestedAgent {
  const attested = requireAttested(agent, id);
  if (!attested.canReattest) return attested;
  const message = `agent ${id.toString()} gets its next SVID by attesting again`;
  throw failure('ERR_AGENT_MUST_REATTEST', message);
}

function recorded({ serialNumber, expiresAt }: AgentSvid, publicKey: Uint8Array) {
  return { serialNumber, expiresAt, keyDigest: digestOf(publicKey) };
}

function digestOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('base64url');
}

function notFound(id: SpiffeId): TrustplaneError {
  return failure('ERR_AGENT_NOT_FOUND', `there is no agent ${id.toString()}`);
}

function failure(code: ConstructorParameters<typeof TrustplaneError>[0], message: string) {
  return new TrustplaneError(code, message);
}
