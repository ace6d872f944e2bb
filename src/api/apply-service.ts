import { setImmediate } from 'node:timers/promises';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import {
  applyLimits,
  digestPlan,
  findImpact,
  type Plan,
  PlanBuilder,
  type PresentState,
  parseSetName,
  stepsOf,
} from '../apply/index.ts';
import type { EntryChange, EntryRegistry } from '../entries/index.ts';
import type { Relationships } from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type AuditLog,
  type Clock,
  messageOf,
  type SuspensionSource,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import {
  buildChange,
  buildEntryDocument,
  buildImpact,
  buildRelationshipDocument,
  parseEntryDocument,
  parseRelationshipDocument,
  type WireEntryDocument,
  type WireRelationshipDocument,
} from './apply-messages.ts';
import { MessageReader } from './message-reader.ts';
import { type PlanOutcome, type PlanTargets, performPlan } from './perform-plan.ts';
import { recordPlan } from './record-plan.ts';
import { requesterOf, type UserNames } from './requester-of.ts';
import type { WorkloadReports } from './workload-reports.ts';
import { writePaced } from './write-paced.ts';

const limits = {
  /** Documents in one message. */
  documents: 2_000,
  /** Changes in one message, and entries of an export. */
  chunk: 500,
  /** Complaints that are sent; a message has at most 16 MiB. */
  complaints: 1_000,
} as const;

export interface ApplyServiceOptions {
  readonly trustDomain: TrustDomain;
  /** All that stands; it is changed through `targets`. */
  readonly entries: Pick<
    EntryRegistry,
    'standing' | 'standingLike' | 'all' | 'revision' | 'catchUpNow'
  >;
  readonly targets: Omit<PlanTargets, 'standing' | 'relationships'>;
  readonly relationships: Pick<Relationships, 'get' | 'all' | 'replace' | 'delete'>;
  readonly workloads: Pick<WorkloadReports, 'list' | 'gaps'>;
  /** Default: nothing is suspended. */
  readonly suspensions?: SuspensionSource;
  /** Told what was done, and by whom, before it is answered. */
  readonly audit: Pick<AuditLog, 'record'>;
  readonly userName: UserNames;
  readonly clock: Clock;
  readonly log: Log;
}

interface WireBegin {
  readonly set?: string;
  readonly prune?: boolean;
  readonly dry_run?: boolean;
  readonly allow_removals?: boolean;
  readonly take_over?: boolean;
  readonly expected_plan?: Uint8Array;
  readonly ids_are_hints?: boolean;
}

interface WireDocuments {
  readonly entries?: readonly WireEntryDocument[];
  readonly relationships?: readonly WireRelationshipDocument[];
}

interface ApplyRequest {
  readonly begin?: WireBegin | null;
  readonly documents?: WireDocuments | null;
}

type ApplyCall = ServerDuplexStream<ApplyRequest, object>;
type ExportCall = ServerWritableStream<
  { readonly set?: string; readonly kinds?: readonly string[] },
  WireDocuments
>;

/** trustplane.admin.v1.Apply; for administrators. */
export function createApplyService(options: ApplyServiceOptions): GrpcService {
  /** Sets that are written to right now. */
  const busy = new Set<string>();
  return {
    definition: loadService('trustplane/admin/v1/apply.proto', 'trustplane.admin.v1.Apply'),
    implementation: {
      Apply: (call: ApplyCall): unknown => apply(options, busy, call),
      Export: (call: ExportCall): unknown => exportAll(options, call),
    },
  };
}

async function apply(
  options: ApplyServiceOptions,
  busy: Set<string>,
  call: ApplyCall,
): Promise<void> {
  const reader = new MessageReader<ApplyRequest>(call);
  const begin = (await reader.next())?.begin;
  if (!begin) throw malformed('the first message: expected begin; got none');
  const set = parseSetName(begin.set ?? '');
  await options.entries.catchUpNow();
  const plan = await readPlan(options, { ...begin, set }, reader);
  const digest = digestPlan(plan);
  await sendPlan(options, call, plan, digest);
  if (begin.dry_run !== true && plan.complaints.length === 0) {
    const requester = requesterOf(call, options.userName);
    const outcome = await perform(options, { ...begin, set }, plan, digest, busy);
    await recordPlan(options.audit, requester, { set, plan, outcome });
    await writePaced(call, { outcome: buildOutcome(outcome) });
  }
  call.end();
}

async function readPlan(
  options: ApplyServiceOptions,
  begin: WireBegin & { readonly set: string },
  reader: MessageReader<ApplyRequest>,
): Promise<Plan> {
  const builder = new PlanBuilder(presentOf(options), {
    set: begin.set,
    prune: begin.prune ?? false,
    allowRemovals: begin.allow_removals ?? false,
    takeOver: begin.take_over ?? false,
    idsAreHints: begin.ids_are_hints ?? false,
  });
  for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
    if (!next.documents) throw malformed('a message behind begin: expected documents; got none');
    takeDocuments(options, builder, next.documents);
    // Others have their turn.
    await setImmediate();
  }
  return builder.build();
}

/** @throws TrustplaneError ERR_APPLY_LIMIT */
function takeDocuments(
  { trustDomain, clock }: ApplyServiceOptions,
  builder: PlanBuilder,
  { entries = [], relationships = [] }: WireDocuments,
): void {
  const count = entries.length + relationships.length;
  if (count > limits.documents)
    throw malformed(`documents: expected at most ${limits.documents} at once; got ${count}`);
  if (builder.size + count > applyLimits.entries) {
    const message = `documents: expected at most ${applyLimits.entries} in all`;
    throw new TrustplaneError('ERR_APPLY_LIMIT', message);
  }
  const rules = { trustDomain, now: clock.now() };
  const each = <Wire extends { readonly source?: string }>(
    some: readonly Wire[],
    take: (wire: Wire) => void,
  ): void => {
    for (const wire of some) {
      try {
        take(wire);
      } catch (error) {
        builder.complain(`${wire.source ?? 'a document'}: ${messageOf(error)}`);
      }
    }
  };
  each(entries, (wire) => builder.addEntry(parseEntryDocument(wire, rules)));
  each(relationships, (wire) => builder.addRelationship(parseRelationshipDocument(wire, rules)));
}

async function sendPlan(
  options: ApplyServiceOptions,
  call: ApplyCall,
  plan: Plan,
  digest: Uint8Array,
): Promise<void> {
  const { entries, workloads } = options;
  const impact = await findImpact(entries.all(), entryChanges(plan), workloads.list(), options);
  const { additions, changes, removals, unchanged, kept, complaints } = plan;
  await writePaced(call, {
    plan: {
      added: additions.length,
      changed: changes.length,
      removed: removals.length,
      unchanged,
      kept,
      digest,
      complaints: complaints.slice(0, limits.complaints),
      impact: buildImpact(impact, workloads.gaps()),
    },
  });
  for (const some of chunks(stepsOf(plan), limits.chunk))
    await writePaced(call, { changes: { changes: some.map(buildChange) } });
}

async function perform(
  { targets, entries, relationships, log }: ApplyServiceOptions,
  { set, expected_plan }: WireBegin & { readonly set: string },
  plan: Plan,
  digest: Uint8Array,
  busy: Set<string>,
): Promise<PlanOutcome> {
  const refusal =
    refusalOf(plan, digest, expected_plan) ?? (busy.has(set) ? isBusy(set) : undefined);
  if (refusal !== undefined)
    return {
      added: 0,
      changed: 0,
      removed: 0,
      left: [...stepsOf(plan).keys()],
      failure: refusal,
    };
  busy.add(set);
  try {
    const standing = (id: string) => entries.standing(id);
    const outcome = await performPlan(plan, set, { ...targets, standing, relationships });
    const { added, changed, removed, failure } = outcome;
    log.info({ set, added, changed, removed, error: failure?.message }, 'documents applied');
    return outcome;
  } finally {
    busy.delete(set);
  }
}

function refusalOf(
  plan: Plan,
  digest: Uint8Array,
  expected: Uint8Array = new Uint8Array(),
): TrustplaneError | undefined {
  if (expected.length > 0 && !Buffer.from(digest).equals(expected)) {
    const message = 'the plan is another than the one that is expected; look at it again';
    return new TrustplaneError('ERR_APPLY_CHANGED', message);
  }
  const overtaken = plan.overtaken();
  const [first] = overtaken;
  if (first === undefined) return undefined;
  const message = `others changed ${first} and ${overtaken.length - 1} more meanwhile; nothing was applied, apply again`;
  return new TrustplaneError('ERR_APPLY_CHANGED', message);
}

function isBusy(set: string): TrustplaneError {
  const message = `another apply of the set ${set} is under way; nothing was applied, apply again`;
  return new TrustplaneError('ERR_APPLY_CHANGED', message);
}

function buildOutcome({ added, changed, removed, left, failure }: PlanOutcome): object {
  return {
    added,
    changed,
    removed,
    left,
    error_code: failure?.code ?? '',
    error: failure?.message ?? '',
  };
}

function entryChanges(plan: Plan): readonly EntryChange[] {
  return stepsOf(plan).flatMap((step, index) => {
    if (step.subject !== 'entry') return [];
    const before = step.before?.entry;
    const id = before?.id ?? `${index} to be made`;
    return [{ before, after: step.after && { ...step.after.entry, id } }];
  });
}

function presentOf({ entries, relationships }: ApplyServiceOptions): PresentState {
  return {
    entry: (id) => entries.standing(id),
    entryLike: (entry) => entries.standingLike(entry),
    entries: () => entries.all(),
    revision: () => entries.revision,
    relationship: (trustDomain) => relationships.get(trustDomain),
    relationships: () => relationships.all(),
  };
}

async function exportAll(options: ApplyServiceOptions, call: ExportCall): Promise<void> {
  const { set = '', kinds = [] } = call.request;
  const isMeant = ({ managedBy }: { readonly managedBy?: string | undefined }): boolean =>
    set === '' || managedBy === set;
  const isAsked = (kind: string): boolean => kinds.length === 0 || kinds.includes(kind);
  const { entries, relationships } = options;
  await entries.catchUpNow();
  const all = isAsked('RegistrationEntry') ? [...entries.all()].filter(isMeant) : [];
  for (const some of chunks(all, limits.chunk)) {
    if (call.cancelled) return;
    await writePaced(call, { entries: some.map(buildEntryDocument) });
  }
  // What the configuration keeps is written there.
  const own = relationships.all().filter((one) => isMeant(one) && one.source === 'api');
  if (isAsked('FederationRelationship'))
    for (const some of chunks(own, limits.chunk))
      await writePaced(call, { relationships: some.map(buildRelationshipDocument) });
  call.end();
}

function* chunks<Item>(items: readonly Item[], size: number): Generator<readonly Item[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}

function malformed(message: string): TrustplaneError {
  return new TrustplaneError('ERR_APPLY_REQUEST', message);
}
