import type { AgentRegistry } from '../agents/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import type { Log } from '../ops/index.ts';
import type { RevocationRegistry, SuspensionFact } from '../revocations/index.ts';
import {
  messageOf,
  type Revocation,
  type SerialHolder,
  type SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type Caller, callerOf, type GrpcService, loadService } from '../wire/index.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import { buildImpact, buildRevocation, buildSuspension } from './revocation-messages.ts';
import {
  entriesOf,
  parseSubject,
  type RevocationTarget,
  requireKnown,
  type WireSubject,
} from './revocation-subject.ts';
import { carryOut, impactOf, planRevocation, type RevokeOptions } from './revoke-target.ts';
import { buildHolder, findHolder, type SerialSource } from './serial-holder.ts';
import { unary } from './unary.ts';

export interface RevocationServiceOptions extends RevokeOptions {
  readonly trustDomain: TrustDomain;
  readonly entries: RevokeOptions['entries'] & Pick<EntryRegistry, 'catchUpNow'>;
  readonly agents: Pick<AgentRegistry, 'get'>;
  readonly revocations: Pick<RevocationRegistry, 'add' | 'list' | 'suspensions'>;
  /** The agent of the same process, which needs no attestation. */
  readonly localAgent: SpiffeId | undefined;
  readonly ledger: SerialSource;
  readonly log: Log;
}

interface RevokeRequest {
  readonly subject?: WireSubject | null;
  readonly reissue?: boolean;
  readonly reason?: string;
  readonly dry_run?: boolean;
  readonly force?: boolean;
}

interface ListRequest extends WirePageRequest {
  readonly active_only?: boolean;
}

const MAX_REASON_BYTES = 2_048;
const MAX_PAGE = 1_000;

/** trustplane.admin.v1.Revocations; to be guarded. */
export function createRevocationService(options: RevocationServiceOptions): GrpcService {
  return {
    definition: loadService(
      'trustplane/admin/v1/revocations.proto',
      'trustplane.admin.v1.Revocations',
    ),
    implementation: {
      Revoke: unary((request: RevokeRequest, call) => revoke(options, request, callerOf(call))),
      Unsuspend: unary((request: RevokeRequest, call) =>
        unsuspend(options, request, callerOf(call)),
      ),
      List: unary((request: ListRequest) => list(options, request)),
    },
  };
}

async function revoke(
  options: RevocationServiceOptions,
  { subject, reissue = false, reason = '', dry_run = false, force = false }: RevokeRequest,
  caller: Caller,
): Promise<object> {
  const { trustDomain, entries, clock, log } = options;
  checkReason(reason);
  const target = parseSubject(subject, trustDomain);
  // Another server may have made or changed it just now.
  await entries.catchUpNow();
  const holder = await holderOf(target, options, force);
  if (!force) requireKnown(target, { ...options, holder, now: clock.now() });
  const plan = planRevocation(target, reissue, options);
  const known = {
    impact: buildImpact(plan.impact),
    ...(holder && { holder: buildHolder(holder) }),
  };
  if (dry_run) return known;
  const by = nameOf(caller);
  const done = await carryOut(plan, { reason, by }, options);
  const { kind, value } = target;
  log.warn(
    { kind, value, by, reason, suspended: done.suspension !== undefined, ...plan.impact },
    'an identity was revoked',
  );
  return {
    revocations: done.revocations.map(buildRevocation),
    ...(done.suspension && { suspension: buildSuspension(done.suspension) }),
    ...known,
  };
}

/** Who has the SVID of a serial number; when it is forced, a ledger that cannot be read is in nobody's way. */
async function holderOf(
  { kind, value }: RevocationTarget,
  { ledger, log }: Pick<RevocationServiceOptions, 'ledger' | 'log'>,
  isForced: boolean,
): Promise<SerialHolder | undefined> {
  if (kind !== 'serial') return undefined;
  try {
    return await findHolder(ledger, value);
  } catch (error) {
    if (!isForced) throw error;
    log.warn(
      { error: messageOf(error) },
      'the audit ledger could not be asked for a serial number',
    );
    return undefined;
  }
}

async function unsuspend(
  options: RevocationServiceOptions,
  { subject, reason = '' }: Pick<RevokeRequest, 'subject' | 'reason'>,
  caller: Caller,
): Promise<object> {
  const { trustDomain, entries, revocations, reachOf, log } = options;
  checkReason(reason);
  const target = parseSubject(subject, trustDomain);
  const { kind, value } = target;
  if (kind === 'serial') throw serialsAreNotSuspended();
  const by = nameOf(caller);
  const lifted = await revocations.suspensions.lift({ kind, value, reason, by });
  log.warn({ kind, value, by, reason }, 'a suspension was lifted');
  const meant = entriesOf(target, entries, reachOf);
  const ids = new Map(meant.map(({ spiffeId }) => [spiffeId.toString(), spiffeId]));
  const impact = impactOf(meant, [...ids.values()], true, options);
  return { suspension: buildSuspension(lifted), impact: buildImpact(impact) };
}

type Listed =
  | { readonly id: string; readonly revocation: Revocation }
  | { readonly id: string; readonly suspension: SuspensionFact };

/** By ID: the kind and a digest of the value; suspensions last. */
function list(
  { revocations, clock }: Pick<RevocationServiceOptions, 'revocations' | 'clock'>,
  { active_only = false, ...request }: ListRequest,
): object {
  const { pageSize, pageToken } = parsePage(request, 'ERR_API_REQUEST');
  const isWanted = ({ expiresAt }: Revocation): boolean => !active_only || expiresAt > clock.now();
  const facts = active_only
    ? revocations.suspensions.facts().filter(({ lifted }) => lifted === undefined)
    : revocations.suspensions.facts();
  const all: Listed[] = [
    ...revocations
      .list()
      .filter(isWanted)
      .map((one) => ({ id: one.id, revocation: one })),
    ...facts.map((one) => ({ id: one.id, suspension: one })),
  ];
  const rest = all
    .filter(({ id }) => id > pageToken)
    .sort((one, other) => (one.id < other.id ? -1 : 1));
  const size = pageSize === 0 ? MAX_PAGE : Math.min(pageSize, MAX_PAGE);
  const page = rest.slice(0, size);
  return {
    revocations: page.flatMap((one) =>
      'revocation' in one ? [buildRevocation(one.revocation)] : [],
    ),
    suspensions: page.flatMap((one) =>
      'suspension' in one ? [buildSuspension(one.suspension)] : [],
    ),
    next_page_token: rest.length > size ? (page.at(-1)?.id ?? '') : '',
  };
}

function nameOf(caller: Caller): string {
  if (caller.kind === 'local') return `uid ${caller.peer.uid}`;
  return caller.kind === 'svid' ? caller.svid.spiffeId.toString() : 'nobody';
}

function checkReason(reason: string): void {
  const bytes = Buffer.byteLength(reason);
  if (bytes <= MAX_REASON_BYTES) return;
  const message = `reason: expected at most ${MAX_REASON_BYTES} bytes; got ${bytes}`;
  throw new TrustplaneError('ERR_API_REQUEST', message);
}

function serialsAreNotSuspended(): TrustplaneError {
  return new TrustplaneError(
    'ERR_REVOCATION_SUBJECT',
    'subject.serial_number: one SVID is revoked for good, and nobody is suspended by it',
  );
}
