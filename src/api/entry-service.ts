import type { EntryRegistry } from '../entries/index.ts';
import type { Log } from '../ops/index.ts';
import { type RegistrationEntry, TrustplaneError } from '../spiffe/index.ts';
import { buildEntryMessage, type EntryMask, type WireEntry } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { AuthorizedEntriesMethods } from './authorized-entries-methods.ts';
import { eachItem } from './each-item.ts';
import { parseEntryFilter, type WireEntryFilter } from './entry-filter-message.ts';
import { parseEntryDraft, parseEntryEdit } from './entry-messages.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import { unary } from './unary.ts';
import { errorStatus, okStatus, parseBatch, type WireStatus } from './wire-values.ts';

/** Bounds of the entry API. */
const entryApiLimits = {
  /** Items of one batch; the message size bounds it too. */
  batch: 10_000,
  /** Items of one batch that are written at the same time. */
  concurrency: 64,
} as const;

/** What the service needs of the registry. */
export type EntryStore = Pick<
  EntryRegistry,
  'get' | 'list' | 'count' | 'create' | 'update' | 'delete'
>;

interface EntryResult {
  readonly status: WireStatus;
  readonly entry?: WireEntry;
}

/** spire.api.server.entry.v1.Entry; what agents call of it is there where it is passed in. */
export function createEntryService(options: {
  readonly entries: EntryStore;
  readonly log: Log;
  readonly forAgents?: AuthorizedEntriesMethods;
}): GrpcService {
  const { entries, log } = options;

  async function create(wire: WireEntry, mask: EntryMask): Promise<EntryResult> {
    const { entry, isNew } = await entries.create(parseEntryDraft(wire));
    if (isNew) log.info(factsOf(entry), 'entry created');
    const status = isNew ? okStatus : alreadyExists;
    return { status, entry: buildEntryMessage(entry, mask) };
  }

  async function update(wire: WireEntry, input: EntryMask, mask: EntryMask): Promise<EntryResult> {
    const entry = await entries.update(parseId(wire.id), parseEntryEdit(wire, input));
    log.info(factsOf(entry), 'entry updated');
    return { status: okStatus, entry: buildEntryMessage(entry, mask) };
  }

  async function remove(id: string): Promise<{ status: WireStatus }> {
    log.info(factsOf(await entries.delete(parseId(id))), 'entry deleted');
    return { status: okStatus };
  }

  return {
    definition: loadService(
      'spire/api/server/entry/v1/entry.proto',
      'spire.api.server.entry.v1.Entry',
    ),
    implementation: {
      ...options.forAgents,
      CountEntries: unary((request: { filter?: WireEntryFilter | null }) => ({
        count: entries.count(parseEntryFilter(request.filter)),
      })),
      ListEntries: unary((request: ListRequest) => {
        const filter = parseEntryFilter(request.filter);
        const page = entries.list(filter, parsePage(request, 'ERR_ENTRY_PAGE'));
        return {
          entries: page.entries.map((entry) => buildEntryMessage(entry, request.output_mask)),
          next_page_token: page.nextPageToken,
        };
      }),
      GetEntry: unary((request: { id?: string; output_mask?: EntryMask }) => {
        const id = parseId(request.id);
        const entry = entries.get(id);
        if (entry !== undefined) return buildEntryMessage(entry, request.output_mask);
        throw new TrustplaneError(
          'ERR_ENTRY_NOT_FOUND',
          `there is no entry with the ID ${JSON.stringify(id)}`,
        );
      }),
      BatchCreateEntry: unary(
        async (request: { entries?: WireEntry[]; output_mask?: EntryMask }) => {
          const items = parseBatch(request.entries, entryApiLimits.batch, 'entries');
          const work = (item: WireEntry) => create(item, request.output_mask);
          return { results: await eachItem(items, entryApiLimits.concurrency, log, work) };
        },
      ),
      BatchUpdateEntry: unary(async (request: UpdateRequest) => {
        const items = parseBatch(request.entries, entryApiLimits.batch, 'entries');
        const work = (item: WireEntry) => update(item, request.input_mask, request.output_mask);
        // One after the other: a batch may name one entry twice.
        return { results: await eachItem(items, 1, log, work) };
      }),
      BatchDeleteEntry: unary(async (request: { ids?: string[] }) => {
        const ids = parseBatch(request.ids, entryApiLimits.batch, 'ids');
        const results = await eachItem(ids, entryApiLimits.concurrency, log, remove);
        return { results: results.map((result, i) => ({ ...result, id: ids[i] ?? '' })) };
      }),
    },
  };
}

interface ListRequest extends WirePageRequest {
  readonly filter?: WireEntryFilter | null;
  readonly output_mask?: EntryMask;
}

interface UpdateRequest {
  readonly entries?: WireEntry[];
  readonly input_mask?: EntryMask;
  readonly output_mask?: EntryMask;
}

const alreadyExists: WireStatus = {
  code: errorStatus(new TrustplaneError('ERR_ENTRY_EXISTS', '')).code,
  message: 'an entry with this parent, SPIFFE ID and selectors already exists',
};

function parseId(id: string | undefined): string {
  if (id !== undefined && id !== '') return id;
  throw new TrustplaneError('ERR_ENTRY_ID', 'id: expected an entry ID; got none');
}

function factsOf(entry: RegistrationEntry) {
  return {
    entryId: entry.id,
    spiffeId: entry.spiffeId.toString(),
    parentId: entry.parentId.toString(),
    revisionNumber: entry.revisionNumber,
  };
}
