import {
  type AgentStanding,
  type Explanation,
  explain,
  explainSerial,
  type KnownEntry,
  type RevocationFacts,
  toEntryFacts,
} from '../explain/index.ts';
import type { RevocationRegistry } from '../revocations/index.ts';
import {
  type Clock,
  type Revocation,
  revocationIndexKey,
  type SerialHolder,
  SpiffeId,
  type SuspensionSource,
  type TrustDomain,
} from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import type { Authorization } from './authorization.ts';
import type { ExplainKnowledge } from './explain-knowledge.ts';
import {
  buildExplanations,
  buildStandingEntry,
  buildSuspension,
  type ExplainRequest,
  parseEntryQuestion,
  parseExplainRequest,
  parseSerialQuestion,
  type WireEntryQuestion,
  type WireExplainRequest,
} from './explain-messages.ts';
import { findHolder, type SerialSource } from './serial-holder.ts';
import type { SyncStanding } from './sync-hub.ts';
import { unary } from './unary.ts';

const FILE = 'trustplane/explain/v1/explain.proto';

export interface ExplainServiceOptions {
  readonly trustDomain: TrustDomain;
  readonly knowledge: Pick<ExplainKnowledge, 'find' | 'findFor' | 'standing'>;
  readonly authorization: Pick<Authorization, 'agentOf'>;
  /** How an agent's stream stands. */
  readonly hub: { standing(id: SpiffeId): SyncStanding };
  readonly clock: Clock;
  readonly revocations: Pick<RevocationRegistry, 'find' | 'list'> & {
    readonly suspensions: Pick<SuspensionSource, 'find'>;
  };
  /** Who got which certificate. */
  readonly ledger: SerialSource;
}

/** trustplane.explain.v1.Explain: administrators are told all; an agent what it may have itself. */
export function createExplainService(options: ExplainServiceOptions): GrpcService {
  const { knowledge, authorization, hub } = options;
  return {
    definition: loadService(FILE, 'trustplane.explain.v1.Explain'),
    implementation: {
      WhatIf: unary(async (request: WireEntryQuestion) =>
        buildExplanations([await explainToAdmin(request, options)]),
      ),
      Ask: unary(async (request: WireEntryQuestion, call) => {
        const { id } = authorization.agentOf(call);
        const { spiffeId, selectors } = parseEntryQuestion(request);
        const entries = await knowledge.findFor(id, { spiffeId, selectors });
        const { suspension } = knowledge.standing(id);
        const { sentRevision, heldRevision, hasBacklog } = hub.standing(id);
        return {
          entries: entries.map(buildStandingEntry),
          ...(suspension && { agent_suspension: buildSuspension(suspension) }),
          sent_revision: sentRevision,
          held_revision: heldRevision,
          has_backlog: hasBacklog,
        };
      }),
    },
  };
}

async function explainToAdmin(
  request: WireEntryQuestion,
  options: ExplainServiceOptions,
): Promise<Explanation> {
  const serialNumber = parseSerialQuestion(request);
  if (serialNumber === undefined) return await explainWhatIf(request, options);
  const { ledger, revocations, clock } = options;
  const holder = await findHolder(ledger, serialNumber);
  const subject = holder && subjectOfHolder(holder);
  const revocation =
    (subject && revocations.find({ ...subject, serialNumber })) ??
    findBySerial(revocations.list(), serialNumber);
  return explainSerial({
    now: clock.now(),
    serialNumber,
    holder,
    revocation: revocationFacts(revocation),
    suspension: subject && revocations.suspensions.find(subject),
  });
}

function subjectOfHolder({ spiffeId, entryId, agentId, issuedAt }: SerialHolder) {
  return {
    spiffeId: SpiffeId.parse(spiffeId),
    issuedAt,
    ...(entryId !== undefined && { entryId }),
    ...(agentId !== undefined && { agentId: SpiffeId.parse(agentId) }),
  };
}

function findBySerial(
  revocations: readonly Revocation[],
  serialNumber: string,
): Revocation | undefined {
  const key = revocationIndexKey({ kind: 'serial', value: serialNumber });
  return revocations.find((one) => one.kind === 'serial' && revocationIndexKey(one) === key);
}

function revocationFacts(revocation: Revocation | undefined): RevocationFacts | undefined {
  if (revocation === undefined) return undefined;
  const { kind, value, issuedBefore, reason, by = 'the server' } = revocation;
  return { kind, value, issuedBefore, reason, by };
}

async function explainWhatIf(
  request: WireEntryQuestion,
  { knowledge, clock, trustDomain, revocations }: ExplainServiceOptions,
): Promise<Explanation> {
  const { spiffeId, agentId, selectors } = parseEntryQuestion(request);
  const shown = selectors.length === 0 ? undefined : selectors;
  const agent = agentId && knowledge.standing(agentId);
  const known = await knowledge.find({ spiffeId, agentId, selectors: shown });
  return explain({
    now: clock.now(),
    question: { place: 'server', spiffeId: spiffeId?.toString() },
    subject: subjectOf(spiffeId, shown, agent),
    process: undefined,
    selectors: shown,
    agent,
    server: { kind: 'self' },
    entries: known.map((one: KnownEntry) => ({
      ...toEntryFacts(one, shown),
      isHere: true,
      revocation: revocationFacts(
        revocations.find({
          spiffeId: one.entry.spiffeId,
          entryId: one.entry.id,
          issuedAt: 0,
          ...(agentId && { agentId }),
        }),
      ),
      svid: undefined,
    })),
    streams: [],
    ownTrustDomain: trustDomain.name,
    bundles: new Set(),
    secretNames: [],
  });
}

function subjectOf(
  spiffeId: SpiffeId | undefined,
  selectors: readonly string[] | undefined,
  agent: AgentStanding | undefined,
): string {
  const who = selectors === undefined ? '' : `a workload with ${selectors.join(' + ')}`;
  const what = spiffeId?.toString() ?? '';
  const where = agent === undefined ? '' : ` at ${agent.agentId}`;
  return `${[what, who].filter((text) => text !== '').join(' for ')}${where}`;
}

/** trustplane.explain.v1.AgentExplain, for administrators of the machine alone. */
export function createAgentExplainService(answer: {
  explain(request: ExplainRequest): Promise<readonly Explanation[]>;
}): GrpcService {
  return {
    definition: loadService(FILE, 'trustplane.explain.v1.AgentExplain'),
    implementation: {
      Explain: unary(async (request: WireExplainRequest) =>
        buildExplanations(await answer.explain(parseExplainRequest(request))),
      ),
    },
  };
}
