import type { AgentFacts, Bundle, Clock, RegistrationEntry, TrustDomain } from '../spiffe/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import {
  parseBundleMessage,
  parseEntryMessage,
  type WireBundle,
  type WireEntry,
} from '../sync/index.ts';
import type { ServerCalls, ServerStream } from './server-link.ts';

const TIMEOUT_MS = 30_000;
const IDS_PER_REQUEST = 10_000;

interface EntryRevision {
  readonly id?: string;
  readonly revision_number?: string;
  readonly created_at?: string;
}

/** SyncAuthorizedEntriesResponse; GetAuthorizedEntriesResponse has the entries alone. */
interface EntriesAnswer {
  readonly entry_revisions?: readonly EntryRevision[];
  readonly entries?: readonly WireEntry[];
  readonly more?: boolean;
}

type Entries = ReadonlyMap<string, RegistrationEntry>;

export interface FetchContext {
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
}

/**
 * Asks a server for all that this agent may know. What has not changed since `before` is the same object.
 * @throws as `ServerLink.call`; ERR_SYNC_*
 */
export async function fetchFacts(
  link: ServerCalls,
  before: AgentFacts,
  context: FetchContext,
): Promise<AgentFacts> {
  const own = await fetchOwnBundle(link, context.trustDomain);
  const entries = await fetchEntries(link, before.entries, context);
  const federated = await fetchFederated(link, entries, before.trust.federated, context);
  const { terms } = before.trust;
  return { entries, trust: { own, federated, terms }, revocations: before.revocations };
}

/** @throws as `ServerLink.call`; ERR_SYNC_BUNDLE, ERR_NODE_ANSWER */
export async function fetchOwnBundle(link: ServerCalls, trustDomain: TrustDomain): Promise<Bundle> {
  const bundle = parseBundleMessage(await link.call<WireBundle>('Bundle.GetBundle', {}));
  if (bundle.trustDomain.equals(trustDomain) && bundle.x509Authorities.length > 0) return bundle;
  const what = `a bundle of ${bundle.trustDomain.name} with ${bundle.x509Authorities.length} X.509 authorities`;
  throw strange(`expected the bundle of ${trustDomain.name}; got ${what}`);
}

async function fetchEntries(
  link: ServerCalls,
  before: Entries,
  context: FetchContext,
): Promise<Entries> {
  try {
    return await syncEntries(link, before, context);
  } catch (error) {
    if (!isUnimplemented(error)) throw error;
    const answer = await link.call<EntriesAnswer>('Entry.GetAuthorizedEntries', {});
    return collect(answer.entries ?? [], before, context.trustDomain);
  }
}

async function syncEntries(
  link: ServerCalls,
  before: Entries,
  { trustDomain, clock }: FetchContext,
): Promise<Entries> {
  const stream = link.stream<EntriesAnswer>('Entry.SyncAuthorizedEntries');
  const timer = clock.setTimer(TIMEOUT_MS, () => stream.cancel());
  try {
    stream.send({});
    const first = await readAll(stream);
    if (first.revisions.length === 0) return collect(first.entries, before, trustDomain);
    const known = new Map<string, RegistrationEntry>();
    const wanted: string[] = [];
    for (const revision of first.revisions) {
      const id = revision.id ?? '';
      const entry = before.get(id);
      if (entry !== undefined && isAt(entry, revision)) known.set(id, entry);
      else wanted.push(id);
    }
    for (let at = 0; at < wanted.length; at += IDS_PER_REQUEST) {
      stream.send({ ids: wanted.slice(at, at + IDS_PER_REQUEST) });
      const { entries } = await readAll(stream);
      for (const [id, entry] of collect(entries, before, trustDomain)) known.set(id, entry);
    }
    return known;
  } finally {
    timer.cancel();
    stream.end();
    stream.cancel();
  }
}

/** The pages of one answer. */
async function readAll(stream: Pick<ServerStream<EntriesAnswer>, 'read'>) {
  const revisions: EntryRevision[] = [];
  const entries: WireEntry[] = [];
  let hasMore = true;
  while (hasMore) {
    const page = await stream.read();
    if (page === undefined) throw strange('the list of entries ended before it was complete');
    revisions.push(...(page.entry_revisions ?? []));
    entries.push(...(page.entries ?? []));
    hasMore = page.more === true;
  }
  return { revisions, entries };
}

function collect(
  messages: readonly WireEntry[],
  before: Entries,
  trustDomain: TrustDomain,
): Entries {
  const entries = messages.map((message) => {
    const known = before.get(message.id ?? '');
    return known !== undefined && isAt(known, message)
      ? known
      : parseEntryMessage(message, trustDomain);
  });
  return new Map(entries.map((entry) => [entry.id, entry]));
}

function isAt(
  { revisionNumber, createdAt }: RegistrationEntry,
  { revision_number = '0', created_at = '0' }: EntryRevision,
): boolean {
  return Number(revision_number) === revisionNumber && Number(created_at) * 1_000 === createdAt;
}

/** The bundles that the entries ask for; one that cannot be had now is kept as it was. */
async function fetchFederated(
  link: ServerCalls,
  entries: Entries,
  before: ReadonlyMap<string, Bundle>,
  { trustDomain }: FetchContext,
): Promise<ReadonlyMap<string, Bundle>> {
  const names = new Set<string>();
  for (const { federatesWith } of entries.values()) {
    for (const { name } of federatesWith) if (name !== trustDomain.name) names.add(name);
  }
  const bundles = new Map<string, Bundle>();
  for (const name of [...names].sort()) {
    const bundle = await fetchForeignBundle(link, name, before.get(name));
    if (bundle !== undefined) bundles.set(name, bundle);
  }
  return bundles;
}

async function fetchForeignBundle(
  link: ServerCalls,
  name: string,
  before: Bundle | undefined,
): Promise<Bundle | undefined> {
  const request = { trust_domain: name };
  try {
    const message = await link.call<WireBundle>('Bundle.GetFederatedBundle', request);
    const bundle = parseBundleMessage(message);
    if (bundle.trustDomain.name === name) return bundle;
    throw strange(`expected the bundle of ${name}; got one of ${bundle.trustDomain.name}`);
  } catch (error) {
    if (!(error instanceof TrustplaneError) || error.category === 'unavailable') throw error;
    return error.category === 'not-found' ? undefined : before;
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof TrustplaneError && error.category === 'unimplemented';
}

function strange(message: string): TrustplaneError {
  return new TrustplaneError('ERR_NODE_ANSWER', message);
}
