import type { RegistrationEntry, TrustDomain } from '../spiffe/index.ts';
import { parseEntryMessage, type WireEntry } from '../sync/index.ts';
import type { ServerCalls } from './server-link.ts';

/** What is asked about, of what this agent may have. */
export interface ServerQuestion {
  /** Texts. */
  readonly selectors: readonly string[];
  readonly spiffeId: string | undefined;
}

interface WireSuspension {
  readonly kind?: string;
  readonly value?: string;
  readonly since?: string;
  readonly reason?: string;
}

interface WireAnswer {
  readonly entries?: readonly {
    readonly entry?: WireEntry | null;
    readonly suspension?: WireSuspension | null;
    readonly gone_at?: string;
    readonly was_deleted?: boolean;
  }[];
  readonly agent_suspension?: WireSuspension | null;
  readonly sent_revision?: string;
  readonly held_revision?: string;
  readonly has_backlog?: boolean;
}

interface ToldSuspension {
  readonly kind: string;
  readonly value: string;
  readonly since: number;
  readonly reason: string;
  /** Agents are not told. */
  readonly by: '';
}

/** What a server says of entries, and of the agent's stream. Instants in milliseconds since the epoch. */
export interface ServerAnswer {
  readonly entries: readonly {
    readonly entry: RegistrationEntry;
    readonly suspension: ToldSuspension | undefined;
    readonly gone: { readonly at: number; readonly how: 'expired' | 'deleted' } | undefined;
  }[];
  readonly agentSuspension: ToldSuspension | undefined;
  readonly sentRevision: string;
  readonly heldRevision: string;
  readonly hasBacklog: boolean;
}

const MAX_ENTRIES = 256;
const MAX_TEXT_CHARS = 2_048;

/** @throws TrustplaneError as `ServerLink.call`; ERR_REMOTE_UNIMPLEMENTED of a server that does not explain; ERR_SYNC_ENTRY */
export async function askServer(
  link: ServerCalls,
  { selectors, spiffeId = '' }: ServerQuestion,
  { trustDomain }: { readonly trustDomain: TrustDomain },
): Promise<ServerAnswer> {
  const answer = await link.call<WireAnswer>('Explain.Ask', { selectors, spiffe_id: spiffeId });
  return {
    entries: (answer.entries ?? []).slice(0, MAX_ENTRIES).map((one) => ({
      entry: parseEntryMessage(one.entry ?? {}, trustDomain),
      suspension: parseSuspension(one.suspension),
      gone: parseGone(one.gone_at, one.was_deleted),
    })),
    agentSuspension: parseSuspension(answer.agent_suspension),
    sentRevision: short(answer.sent_revision),
    heldRevision: short(answer.held_revision),
    hasBacklog: answer.has_backlog ?? false,
  };
}

function parseGone(at = '0', wasDeleted = false) {
  const how: 'expired' | 'deleted' = wasDeleted ? 'deleted' : 'expired';
  return Number(at) > 0 ? { at: Number(at), how } : undefined;
}

function parseSuspension(message: WireSuspension | null | undefined): ToldSuspension | undefined {
  if (message === undefined || message === null) return undefined;
  const { kind, value, since = '0', reason } = message;
  return {
    kind: short(kind),
    value: short(value),
    since: Number(since),
    reason: short(reason),
    by: '',
  };
}

function short(text = ''): string {
  return text.slice(0, MAX_TEXT_CHARS);
}
