import { Client, type ServiceError } from '@grpc/grpc-js';
import { type Bundle, messageOf, TrustDomain, TrustplaneError } from '../spiffe/index.ts';
import { dialUnix, loadService } from '../wire/index.ts';
import {
  buildEntryView,
  type EntryMessage,
  type EntryView,
  type StatusMessage,
} from './entry-message.ts';
import { itemError, remoteError } from './remote-error.ts';

const CALL_TIMEOUT_MS = 10_000;
const PAGE_SIZE = 500;

const services = {
  Entry: ['spire/api/server/entry/v1/entry.proto', 'spire.api.server.entry.v1.Entry'],
  Bundle: ['spire/api/server/bundle/v1/bundle.proto', 'spire.api.server.bundle.v1.Bundle'],
  Admin: ['trustplane/admin/v1/admin.proto', 'trustplane.admin.v1.Admin'],
} as const;

/** What the server says of itself. Instants in RFC 3339. */
export interface ServerStatus {
  readonly version: string;
  readonly trustDomain: string;
  readonly uptimeSeconds: number;
  readonly entries: number;
  readonly healthy: boolean;
  /** Why it is not healthy. */
  readonly problems: readonly string[];
  readonly authorities: readonly {
    readonly slot: string;
    readonly authorityId: string;
    readonly notBefore: string;
    readonly expiresAt: string;
  }[];
}

/** The server API over the admin socket. Every call fails with a TrustplaneError. */
export interface AdminClient {
  status(): Promise<ServerStatus>;
  bundle(): Promise<Bundle>;
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
  const dial = dialUnix(socket);
  const client = new Client(dial.target, dial.credentials, dial.options);
  const call = <R>(service: keyof typeof services, method: string, request: object): Promise<R> =>
    unary<R>(client, socket, service, method, request);

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
    bundle: async () => buildBundle(await call('Bundle', 'GetBundle', {})),
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
    close: () => client.close(),
  };
}

function unary<R>(
  client: Client,
  socket: string,
  service: keyof typeof services,
  method: string,
  request: object,
): Promise<R> {
  const [file, name] = services[service];
  const definition = loadService(file, name)[method];
  if (definition === undefined)
    throw new TrustplaneError('ERR_INTERNAL', `${name} has no method ${method}`);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request,
      { deadline: Date.now() + CALL_TIMEOUT_MS },
      (error: ServiceError | null, response?: R) => {
        if (error !== null) reject(remoteError(error, `unix://${socket}`));
        else if (response === undefined)
          reject(new TrustplaneError('ERR_REMOTE', `${method} was answered with nothing`));
        else resolve(response);
      },
    );
  });
}

function only({ results = [] }: { results?: EntryResult[] }): EntryView {
  const [result] = results;
  failUnlessOk(result?.status, '', result?.entry?.id);
  if (result?.entry === undefined)
    throw new TrustplaneError('ERR_REMOTE', 'the server answered without the entry');
  return buildEntryView(result.entry);
}

function failUnlessOk(status: StatusMessage | undefined, where: string, existingId?: string): void {
  const code = status?.code ?? 0;
  if (code === 0) return;
  const existing = existingId === undefined || existingId === '' ? '' : ` (entry ${existingId})`;
  throw itemError(code, `${where}${status?.message ?? ''}${existing}`);
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
  readonly checks?: readonly { name?: string; healthy?: boolean; message?: string }[];
  readonly x509_authorities?: readonly {
    slot?: string;
    authority_id?: string;
    not_before?: string;
    expires_at?: string;
  }[];
}

function buildStatus(response: StatusResponse): ServerStatus {
  return {
    version: response.version ?? '',
    trustDomain: response.trust_domain ?? '',
    uptimeSeconds: Number(response.uptime_seconds ?? 0),
    entries: Number(response.entries_count ?? 0),
    healthy: response.healthy ?? false,
    problems: (response.checks ?? [])
      .filter(({ healthy }) => healthy !== true)
      .map(({ name, message }) => `${name ?? ''}: ${message ?? ''}`),
    authorities: (response.x509_authorities ?? []).map(
      ({ slot, authority_id, not_before, expires_at }) => ({
        slot: (slot ?? '').replace('SLOT_', '').toLowerCase(),
        authorityId: authority_id ?? '',
        notBefore: instant(not_before),
        expiresAt: instant(expires_at),
      }),
    ),
  };
}

function instant(seconds: string | undefined): string {
  return new Date(Number(seconds ?? 0) * 1_000).toISOString().replace('.000Z', 'Z');
}

interface BundleResponse {
  readonly trust_domain?: string;
  readonly x509_authorities?: readonly { asn1?: Uint8Array; tainted?: boolean }[];
  readonly refresh_hint?: string;
  readonly sequence_number?: string;
}

function buildBundle(response: BundleResponse): Bundle {
  try {
    return {
      trustDomain: TrustDomain.parse(response.trust_domain ?? ''),
      x509Authorities: (response.x509_authorities ?? []).map(({ asn1, tainted }) => ({
        certificate: asn1 ?? new Uint8Array(),
        tainted: tainted ?? false,
      })),
      jwtAuthorities: [],
      witAuthorities: [],
      sequenceNumber: BigInt(response.sequence_number ?? 0),
      refreshHintSeconds: Number(response.refresh_hint ?? 0),
    };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_REMOTE',
      `the server's bundle cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
