import { TrustplaneError } from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';
import { type AuthorityMessage, type AuthorityView, buildAuthority } from './authority-message.ts';
import { buildDetails, type CheckMessage } from './check-details.ts';
import { buildEntryView, type EntryMessage, type EntryView } from './entry-message.ts';
import { failUnlessOk, type StatusMessage } from './item-status.ts';

const PAGE_SIZE = 500;

/** What the server says of itself. Instants in RFC 3339. */
export interface ServerStatus {
  readonly version: string;
  readonly trustDomain: string;
  readonly uptimeSeconds: number;
  readonly entries: number;
  readonly healthy: boolean;
  /** The process serves workloads of its host too, as `up` does. */
  readonly hasAgent: boolean;
  /** Why it is not healthy. */
  readonly problems: readonly string[];
  /** What parts serve, or go by, by their names. */
  readonly details: Readonly<Record<string, string>>;
  /** Where anybody reads the bundle; null: nowhere. */
  readonly bundleEndpoint: { readonly url: string; readonly profile: string } | null;
  readonly authorities: readonly AuthorityView[];
  readonly jwtAuthorities: readonly AuthorityView[];
}

/** The server API over the admin socket. Every call fails with a TrustplaneError. */
export interface AdminClient {
  status(): Promise<ServerStatus>;
  createEntry(entry: EntryMessage): Promise<EntryView>;
  getEntry(id: string): Promise<EntryView>;
  listEntries(filter: object): Promise<readonly EntryView[]>;
  /** Changes the fields that `entry` has. */
  updateEntry(entry: EntryMessage): Promise<EntryView>;
  deleteEntries(ids: readonly string[]): Promise<void>;
  countEntries(filter: object): Promise<number>;
  close(): void;
}

interface EntryResult {
  readonly status?: StatusMessage;
  readonly entry?: EntryMessage;
  readonly id?: string;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createAdminClient(socket: string): AdminClient {
  const { call, close } = dialAdmin(socket);

  async function listEntries(filter: object): Promise<readonly EntryView[]> {
    const views: EntryView[] = [];
    let token = '';
    do {
      const page = await call<{ entries?: EntryMessage[]; next_page_token?: string }>(
        'Entry',
        'ListEntries',
        { filter, page_size: PAGE_SIZE, page_token: token },
      );
      for (const entry of page.entries ?? []) views.push(buildEntryView(entry));
      token = page.next_page_token ?? '';
    } while (token !== '');
    return views;
  }

  return {
    status: async () => buildStatus(await call('Admin', 'GetStatus', {})),
    createEntry: async (entry) =>
      only(await call('Entry', 'BatchCreateEntry', { entries: [entry] })),
    getEntry: async (id) => buildEntryView(await call('Entry', 'GetEntry', { id })),
    listEntries,
    updateEntry: async (entry) =>
      only(
        await call('Entry', 'BatchUpdateEntry', { entries: [entry], input_mask: maskOf(entry) }),
      ),
    async deleteEntries(ids) {
      const { results = [] } = await call<{ results?: EntryResult[] }>(
        'Entry',
        'BatchDeleteEntry',
        { ids },
      );
      for (const [index, { status }] of results.entries())
        failUnlessOk(status, `entry ${ids[index] ?? ''}: `);
    },
    countEntries: async (filter) =>
      (await call<{ count?: number }>('Entry', 'CountEntries', { filter })).count ?? 0,
    close,
  };
}

function only({ results = [] }: { results?: EntryResult[] }): EntryView {
  const [result] = results;
  failUnlessDone(result?.status, result?.entry?.id);
  if (result?.entry === undefined)
    throw new TrustplaneError('ERR_REMOTE', 'the server answered without the entry');
  return buildEntryView(result.entry);
}

function failUnlessDone(status: StatusMessage | undefined, existingId: string = ''): void {
  failUnlessOk(status, '', existingId === '' ? '' : ` (entry ${existingId})`);
}

/** The mask that names exactly the fields an entry has. */
function maskOf(entry: EntryMessage): Record<string, boolean> {
  return Object.fromEntries(
    Object.keys(entry)
      .filter((key) => key !== 'id')
      .map((key) => [key, true]),
  );
}

interface StatusResponse {
  readonly version?: string;
  readonly trust_domain?: string;
  readonly uptime_seconds?: string;
  readonly entries_count?: string;
  readonly healthy?: boolean;
  readonly bundle_endpoint?: { readonly url?: string; readonly profile?: string };
  readonly checks?: readonly CheckMessage[];
  readonly x509_authorities?: readonly AuthorityMessage[];
  readonly jwt_authorities?: readonly AuthorityMessage[];
}

function buildStatus(response: StatusResponse): ServerStatus {
  return {
    version: response.version ?? '',
    trustDomain: response.trust_domain ?? '',
    uptimeSeconds: Number(response.uptime_seconds ?? 0),
    entries: Number(response.entries_count ?? 0),
    healthy: response.healthy ?? false,
    hasAgent: (response.checks ?? []).some(({ name }) => name === 'svids'),
    problems: (response.checks ?? [])
      .filter(({ healthy }) => healthy !== true)
      .map(({ name, message }) => `${name ?? ''}: ${message ?? ''}`),
    details: buildDetails(response.checks),
    bundleEndpoint: buildEndpoint(response.bundle_endpoint),
    authorities: (response.x509_authorities ?? []).map(buildAuthority),
    jwtAuthorities: (response.jwt_authorities ?? []).map(buildAuthority),
  };
}

function buildEndpoint(
  endpoint: StatusResponse['bundle_endpoint'],
): ServerStatus['bundleEndpoint'] {
  if (endpoint === undefined) return null;
  return { url: endpoint.url ?? '', profile: endpoint.profile ?? '' };
}
