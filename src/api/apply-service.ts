import type { ServerDuplexStream } from '@grpc/grpc-js';
import { digestPlan, findImpact, type Plan, parseSetName, stepsOf } from '../apply/index.ts';
import type { EntryChange } from '../entries/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { buildChange, buildImpact } from './apply-messages.ts';
import { type ApplyRequest, type ApplyServiceOptions, malformed } from './apply-request.ts';
import { chunksOf } from './chunks-of.ts';
import { exportAll } from './export-documents.ts';
import { MessageReader } from './message-reader.ts';
import { performApply } from './perform-apply.ts';
import type { PlanOutcome } from './perform-plan.ts';
import { readPlan } from './read-plan.ts';
import { recordPlan } from './record-plan.ts';
import { requesterOf } from './requester-of.ts';
import { SetLocks } from './set-locks.ts';
import { writePaced } from './write-paced.ts';

const limits = {
  /** Changes in one message. */
  chunk: 500,
  /** Complaints that are sent; a message has at most 16 MiB. */
  complaints: 1_000,
} as const;

type ApplyCall = ServerDuplexStream<ApplyRequest, object>;

/** trustplane.admin.v1.Apply; for administrators. */
export function createApplyService(options: ApplyServiceOptions): GrpcService {
  const locks = new SetLocks({ ...options, bucket: options.leases }, options.serverId);
  return {
    definition: loadService('trustplane/admin/v1/apply.proto', 'trustplane.admin.v1.Apply'),
    implementation: {
      Apply: (call: ApplyCall): unknown => apply(options, locks, call),
      Export: (call: Parameters<typeof exportAll>[1]): unknown => exportAll(options, call),
    },
  };
}

async function apply(
  options: ApplyServiceOptions,
  locks: SetLocks,
  call: ApplyCall,
): Promise<void> {
  const reader = new MessageReader<ApplyRequest>(call);
  const begin = (await reader.next())?.begin;
  if (!begin) throw malformed('the first message: expected begin; got none');
  const begun = { ...begin, set: parseSetName(begin.set ?? '') };
  await options.entries.catchUpNow();
  const plan = await readPlan(options, begun, reader);
  await sendPlan(options, call, plan);
  if (begun.dry_run !== true && plan.complaints.length === 0) {
    const requester = requesterOf(call, options.userName);
    const outcome = await performApply(options, locks, begun, plan);
    await recordPlan(options.audit, requester, { set: begun.set, plan, outcome });
    await writePaced(call, { outcome: buildOutcome(outcome) });
  }
  call.end();
}

async function sendPlan(options: ApplyServiceOptions, call: ApplyCall, plan: Plan): Promise<void> {
  const { entries, workloads, otherServers } = options;
  const impact = await findImpact(entries.all(), entryChanges(plan), workloads.list(), options);
  const { additions, changes, removals, unchanged, kept, complaints } = plan;
  await writePaced(call, {
    plan: {
      added: additions.length,
      changed: changes.length,
      removed: removals.length,
      unchanged,
      kept,
      digest: digestPlan(plan),
      complaints: complaints.slice(0, limits.complaints),
      impact: buildImpact(impact, { ...workloads.gaps(), servers: otherServers() }),
    },
  });
  for (const some of chunksOf(stepsOf(plan), limits.chunk))
    await writePaced(call, { changes: { changes: some.map(buildChange) } });
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
