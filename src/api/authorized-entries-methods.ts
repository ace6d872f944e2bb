import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentEntries } from '../entries/index.ts';
import type { RegistrationEntry, SpiffeId } from '../spiffe/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { buildEntryMessage, buildSeconds, type EntryMask, type WireEntry } from '../sync/index.ts';
import type { Authorization, CallOfSomebody } from './authorization.ts';
import { MessageReader } from './message-reader.ts';
import { unary } from './unary.ts';
import { parseBatch } from './wire-values.ts';
import { writePaced } from './write-paced.ts';

/** What one message of a sync may hold. */
export const syncLimits = {
  /** SPIRE's page, and the most entries that come without being asked for. */
  entries: 500,
  /** Of entries, about; clients take 4 MiB. */
  bytes: 2_097_152,
  revisions: 20_000,
  /** IDs in one request; more are asked for in the next. */
  ids: 100_000,
} as const;

export interface AuthorizedEntriesOptions {
  readonly authorization: Pick<Authorization, 'agentOf' | 'requireAgent'>;
  readonly entitlements: { of(agentId: SpiffeId): Pick<AgentEntries, 'all' | 'get'> | undefined };
  /** An agent asks, and so is not told. */
  readonly onPolled: (agentId: SpiffeId) => void;
}

interface SyncRequest {
  readonly output_mask?: EntryMask;
  readonly ids?: readonly string[];
}

interface SyncResponse {
  readonly entry_revisions?: readonly object[];
  readonly entries?: readonly WireEntry[];
  readonly more?: boolean;
}

type SyncCall = ServerDuplexStream<SyncRequest, SyncResponse>;

/** What the Entry service has for agents. */
export interface AuthorizedEntriesMethods {
  readonly GetAuthorizedEntries: ReturnType<typeof unary<{ output_mask?: EntryMask }, object>>;
  readonly SyncAuthorizedEntries: (call: SyncCall) => Promise<void>;
}

export function createAuthorizedEntriesMethods(
  options: AuthorizedEntriesOptions,
): AuthorizedEntriesMethods {
  const { authorization } = options;
  return {
    GetAuthorizedEntries: unary(({ output_mask }, call) => {
      const { id } = authorization.agentOf(call);
      return {
        entries: entriesOf(options, id)
          .all()
          .map((entry) => buildEntryMessage(entry, output_mask)),
      };
    }),
    SyncAuthorizedEntries: (call) => sync(options, call),
  };
}

/** Few entries at once; of many the revisions, and then, page by page, those the agent has not. */
async function sync(options: AuthorizedEntriesOptions, call: SyncCall): Promise<void> {
  const reader = new MessageReader<SyncRequest>(call);
  const first = await reader.next();
  if (first === undefined) return void call.end();
  if ((first.ids?.length ?? 0) > 0) {
    throw new TrustplaneError('ERR_API_REQUEST', 'ids: expected none in the first request');
  }
  const build = (entry: RegistrationEntry): WireEntry =>
    buildEntryMessage(entry, first.output_mask);
  const all = (await entriesNow(options, call)).all();
  const whole = all.length <= syncLimits.entries ? [...pagesOfEntries(all.map(build))] : [];
  if (whole.length === 1) {
    call.write({ entries: whole[0]?.page ?? [] });
    return void call.end();
  }
  for (const { page, more } of pagesOf(all, syncLimits.revisions)) {
    await writePaced(call, { entry_revisions: page.map(buildRevision), more });
  }
  let request = await reader.next();
  while (request !== undefined) {
    // Each once, however often it is asked for: a short request must not cost much.
    const ids = new Set(parseBatch(request.ids, syncLimits.ids, 'ids'));
    const entries = await entriesNow(options, call);
    const found = [...ids].flatMap((id) => entries.get(id) ?? []);
    for (const { page, more } of pagesOfEntries(found.map(build))) {
      await writePaced(call, { entries: page, more });
    }
    request = await reader.next();
  }
  call.end();
}

async function entriesNow(options: AuthorizedEntriesOptions, call: CallOfSomebody) {
  const { id } = await options.authorization.requireAgent(call);
  return entriesOf(options, id);
}

function entriesOf({ entitlements, onPolled }: AuthorizedEntriesOptions, id: SpiffeId) {
  const entries = entitlements.of(id);
  onPolled(id);
  if (entries !== undefined) return entries;
  // Evicted or banned since it was authorized.
  throw new TrustplaneError('ERR_AGENT_NOT_ATTESTED', `agent ${id.toString()} is not attested`);
}

function pagesOfEntries(entries: readonly WireEntry[]) {
  const bytesOf = (entry: WireEntry): number => Buffer.byteLength(JSON.stringify(entry));
  return pagesOf(entries, syncLimits.entries, bytesOf);
}

/** At least one page, the last without `more`. */
function* pagesOf<T>(items: readonly T[], size: number, bytesOf: (item: T) => number = () => 0) {
  let page: T[] = [];
  let bytes = 0;
  for (const item of items) {
    bytes += bytesOf(item);
    if (page.length === size || (page.length > 0 && bytes > syncLimits.bytes)) {
      yield { page, more: true };
      page = [];
      bytes = bytesOf(item);
    }
    page.push(item);
  }
  yield { page, more: false };
}

function buildRevision({ id, revisionNumber, createdAt }: RegistrationEntry): object {
  return {
    id,
    revision_number: String(revisionNumber),
    created_at: buildSeconds(createdAt),
  };
}
