/** A version of the policies; hashes in lower-case hex, instants in RFC 3339. */
export interface PolicyVersionView {
  readonly version: number;
  readonly hash: string;
  readonly previous: string;
  readonly createdAt: string;
  /** As the server knows it: a user of its host, or a SPIFFE ID. */
  readonly author:
    | { readonly uid: number; readonly name: string | null }
    | { readonly spiffeId: string };
  /** What the author said of itself; null: nothing. */
  readonly claimedAuthor: string | null;
  readonly reason: string;
  /** The version whose files these are again. */
  readonly restores: number | null;
  /** Of a repair: the version before, 0 for none; those in between are lost. */
  readonly follows: number | null;
  readonly digest: string;
  readonly contentDigest: string;
  readonly files: number;
  readonly bytes: number;
  readonly rules: number;
  readonly skippedTests: boolean;
}

/** Who decides by the policies on an agent's host. */
export interface PolicyTakerView {
  readonly name: string;
  /** in-force, behind or refused; empty while there are no policies. */
  readonly state: string;
  /** In force; null: none, or one that is not known any more. */
  readonly version: number | null;
  readonly digest: string | null;
  readonly since: string | null;
  readonly fault: string | null;
}

export interface PolicyAgentView {
  readonly id: string;
  readonly connected: boolean;
  /** Since when it is connected, or away. */
  readonly since: string;
  /** That it is connected to, or was last. */
  readonly server: string;
  readonly takers: readonly PolicyTakerView[];
}

/** Another server than the one that was asked, and what it says of its agents that is not said of each. */
export interface PolicyServerView {
  readonly id: string;
  readonly live: boolean;
  /** It says what its agents have of the present version; else of another one, or nothing. */
  readonly current: boolean;
  readonly connected: number;
  readonly away: number;
  /** Who decides by the present version on the hosts of its agents. */
  readonly inForce: number;
  /** Agents that are connected, do not have it, and are not named. */
  readonly unnamedBehind: number;
}

export interface PolicyStatusView {
  /** Null: there are no policies. */
  readonly version: PolicyVersionView | null;
  readonly fault: string | null;
  /** That was asked. */
  readonly server: string;
  /** All of that server, and some of the others. */
  readonly agents: readonly PolicyAgentView[];
  readonly servers: readonly PolicyServerView[];
}

/** What applying came to. */
export interface PolicyApplyView {
  /** Null: nothing was made. */
  readonly version: PolicyVersionView | null;
  readonly isNew: boolean;
  readonly digest: string;
  readonly policies: number;
  readonly rules: number;
  readonly tests: number;
  readonly complaints: readonly string[];
  readonly failedTests: readonly string[];
  readonly changes: readonly string[];
}

/** trustplane.policy.v1.Version */
export interface VersionMessage {
  readonly version?: string;
  readonly hash?: Uint8Array;
  readonly previous?: Uint8Array;
  readonly created_at?: string;
  readonly author?: {
    readonly user?: { readonly uid?: number; readonly name?: string };
    readonly spiffe_id?: string;
  };
  readonly claimed_author?: string;
  readonly reason?: string;
  readonly restores?: string;
  readonly follows?: string;
  readonly digest?: Uint8Array;
  readonly content_digest?: Uint8Array;
  readonly files?: number;
  readonly bytes?: number;
  readonly rules?: number;
  readonly skipped_tests?: boolean;
}

/** trustplane.policy.v1.ApplyResponse */
export interface ApplyMessage {
  readonly version?: VersionMessage;
  readonly is_new?: boolean;
  readonly check?: {
    readonly digest?: Uint8Array;
    readonly policies?: number;
    readonly rules?: number;
    readonly tests?: number;
    readonly complaints?: readonly string[];
    readonly failed_tests?: readonly string[];
  };
  readonly changes?: readonly string[];
}

/** trustplane.policy.v1.Agent */
export interface AgentMessage {
  readonly id?: string;
  readonly connected?: boolean;
  readonly since?: string;
  readonly server_id?: string;
  readonly takers?: readonly {
    readonly name?: string;
    readonly state?: string;
    readonly version?: string;
    readonly digest?: Uint8Array;
    readonly since?: string;
    readonly fault?: string;
  }[];
}

/** trustplane.policy.v1.Server */
export interface ServerMessage {
  readonly id?: string;
  readonly live?: boolean;
  readonly current?: boolean;
  readonly connected?: number;
  readonly away?: number;
  readonly in_force?: number;
  readonly unnamed_behind?: number;
}

export function buildVersionView(message: VersionMessage): PolicyVersionView {
  const { author = {} } = message;
  return {
    version: Number(message.version ?? 0),
    hash: hex(message.hash),
    previous: hex(message.previous),
    createdAt: instantOf(message.created_at),
    author:
      author.user === undefined
        ? { spiffeId: author.spiffe_id ?? '' }
        : { uid: author.user.uid ?? 0, name: author.user.name || null },
    claimedAuthor: message.claimed_author || null,
    reason: message.reason ?? '',
    restores: Number(message.restores ?? 0) || null,
    follows: message.follows === undefined ? null : Number(message.follows),
    digest: hex(message.digest),
    contentDigest: hex(message.content_digest),
    files: message.files ?? 0,
    bytes: message.bytes ?? 0,
    rules: message.rules ?? 0,
    skippedTests: message.skipped_tests ?? false,
  };
}

export function buildApplyView({ version, is_new, check, changes }: ApplyMessage): PolicyApplyView {
  return {
    version: version === undefined ? null : buildVersionView(version),
    isNew: is_new ?? false,
    digest: hex(check?.digest),
    policies: check?.policies ?? 0,
    rules: check?.rules ?? 0,
    tests: check?.tests ?? 0,
    complaints: check?.complaints ?? [],
    failedTests: check?.failed_tests ?? [],
    changes: changes ?? [],
  };
}

export function buildAgentView({
  id,
  connected,
  since,
  server_id,
  takers,
}: AgentMessage): PolicyAgentView {
  return {
    id: id ?? '',
    connected: connected ?? false,
    since: instantOf(since),
    server: server_id ?? '',
    takers: (takers ?? []).map((taker) => ({
      name: taker.name ?? '',
      state: stateOf(taker.state),
      version: Number(taker.version ?? 0) || null,
      digest: hex(taker.digest) || null,
      since: Number(taker.since ?? 0) === 0 ? null : instantOf(taker.since),
      fault: taker.fault || null,
    })),
  };
}

export function buildServerView(message: ServerMessage): PolicyServerView {
  return {
    id: message.id ?? '',
    live: message.live ?? false,
    current: message.current ?? false,
    connected: message.connected ?? 0,
    away: message.away ?? 0,
    inForce: message.in_force ?? 0,
    unnamedBehind: message.unnamed_behind ?? 0,
  };
}

function stateOf(state: string = ''): string {
  const known = state.replace('STATE_', '').toLowerCase().replace('_', '-');
  return known === 'unspecified' ? '' : known;
}

function hex(bytes: Uint8Array = new Uint8Array()): string {
  return Buffer.from(bytes).toString('hex');
}

/** From milliseconds since the epoch. */
function instantOf(ms: string = '0'): string {
  return new Date(Number(ms)).toISOString();
}
