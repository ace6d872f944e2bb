import { dialAdmin } from './admin-call.ts';

/** Whose SVIDs; one of them. */
export interface SubjectDraft {
  readonly spiffeId?: string | undefined;
  readonly entry?: string | undefined;
  readonly serial?: string | undefined;
  readonly agent?: string | undefined;
}

export interface RevokeDraft {
  readonly subject: SubjectDraft;
  readonly reason: string;
  readonly isReissued: boolean;
  readonly isDryRun: boolean;
  readonly isForced: boolean;
}

/** SVIDs that were issued before an instant are refused. Instants in RFC 3339. */
export interface RevocationView {
  readonly kind: string;
  readonly value: string;
  readonly issuedBefore: string;
  readonly until: string;
  readonly reason: string;
  /** Null: the server did it. */
  readonly by: string | null;
}

/** Nothing is issued, until it is lifted. Instants in RFC 3339. */
export interface SuspensionView {
  readonly kind: string;
  readonly value: string;
  readonly since: string;
  readonly reason: string;
  readonly by: string;
  readonly lifted: { readonly at: string; readonly reason: string; readonly by: string } | null;
}

/** Whom it concerns, as the server that answered knows it. */
export interface ImpactView {
  readonly suspendedEntries: number;
  readonly reissuedEntries: number;
  readonly spiffeIds: number;
  readonly agents: number;
  /** Workloads that run, as connected agents say, and the agents they are on. */
  readonly runningWorkloads: number;
  readonly runningAgents: number;
  /** Agents that do not say what runs there, or only in part. */
  readonly silentAgents: number;
}

/** Who got an X509-SVID. Instants in RFC 3339. */
export interface HolderView {
  readonly spiffeId: string;
  readonly entryId: string | null;
  readonly agentId: string | null;
  /** workload, agent, mint, downstream or server. */
  readonly purpose: string;
  readonly issuedAt: string;
  readonly expiresAt: string;
}

export interface RevokedView {
  readonly revocations: readonly RevocationView[];
  readonly suspension: SuspensionView | null;
  readonly impact: ImpactView;
  /** Of a serial number; null where the ledger of the server does not know it. */
  readonly holder: HolderView | null;
}

export interface UnsuspendedView {
  readonly suspension: SuspensionView | null;
  readonly impact: ImpactView;
}

export interface RevocationsView {
  readonly suspensions: readonly SuspensionView[];
  readonly revocations: readonly RevocationView[];
}

/** Identities are taken back, and given back, over the admin socket. Every call fails with a TrustplaneError. */
export interface RevocationClient {
  revoke(draft: RevokeDraft): Promise<RevokedView>;
  unsuspend(subject: SubjectDraft, reason: string): Promise<UnsuspendedView>;
  /** By kind. */
  list(isActiveOnly: boolean): Promise<RevocationsView>;
  close(): void;
}

interface RevocationMessage {
  readonly kind?: string;
  readonly value?: string;
  readonly issued_before_ms?: string;
  readonly expires_at_ms?: string;
  readonly reason?: string;
  readonly by?: string;
}

interface SuspensionMessage extends Pick<RevocationMessage, 'kind' | 'value' | 'reason' | 'by'> {
  readonly since_ms?: string;
  readonly lifted?: {
    readonly at_ms?: string;
    readonly reason?: string;
    readonly by?: string;
  } | null;
}

interface ImpactMessage {
  readonly suspended_entries?: number;
  readonly reissued_entries?: number;
  readonly spiffe_ids?: number;
  readonly agents?: number;
  readonly running_workloads?: number;
  readonly running_agents?: number;
  readonly silent_agents?: number;
}

interface HolderMessage {
  readonly spiffe_id?: string;
  readonly entry_id?: string;
  readonly agent_id?: string;
  readonly purpose?: string;
  readonly issued_at_ms?: string;
  readonly expires_at_ms?: string;
}

interface Answer {
  readonly revocations?: readonly RevocationMessage[];
  readonly suspension?: SuspensionMessage | null;
  readonly impact?: ImpactMessage | null;
  readonly holder?: HolderMessage | null;
}

interface Page {
  readonly revocations?: readonly RevocationMessage[];
  readonly suspensions?: readonly SuspensionMessage[];
  readonly next_page_token?: string;
}

/** What an agent may have got is up to 10,000 records. */
const TIMEOUT_MS = 60_000;

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createRevocationClient(socket: string): RevocationClient {
  const { call, close } = dialAdmin(socket);
  return {
    async revoke({ subject, reason, isReissued, isDryRun, isForced }) {
      const request = {
        subject: buildSubject(subject),
        reason,
        reissue: isReissued,
        dry_run: isDryRun,
        force: isForced,
      };
      const answer = await call<Answer>('Revocations', 'Revoke', request, TIMEOUT_MS);
      const { revocations = [], holder } = answer;
      return {
        revocations: revocations.map(viewRevocation),
        ...viewAnswer(answer),
        holder: holder ? viewHolder(holder) : null,
      };
    },
    async unsuspend(subject, reason) {
      const request = { subject: buildSubject(subject), reason };
      return viewAnswer(await call<Answer>('Revocations', 'Unsuspend', request));
    },
    async list(isActiveOnly) {
      const revocations: RevocationView[] = [];
      const suspensions: SuspensionView[] = [];
      let page_token = '';
      do {
        const request = { active_only: isActiveOnly, page_token };
        const page: Page = await call<Page>('Revocations', 'List', request);
        revocations.push(...(page.revocations ?? []).map(viewRevocation));
        suspensions.push(...(page.suspensions ?? []).map(viewSuspension));
        page_token = page.next_page_token ?? '';
      } while (page_token !== '');
      return { suspensions, revocations };
    },
    close,
  };
}

function buildSubject({ spiffeId, entry, serial, agent }: SubjectDraft): object {
  return {
    ...(spiffeId !== undefined && { spiffe_id: spiffeId }),
    ...(entry !== undefined && { entry_id: entry }),
    ...(serial !== undefined && { serial_number: serial }),
    ...(agent !== undefined && { agent_id: agent }),
  };
}

function viewAnswer({ suspension, impact }: Answer): UnsuspendedView {
  return {
    suspension: suspension ? viewSuspension(suspension) : null,
    impact: {
      suspendedEntries: impact?.suspended_entries ?? 0,
      reissuedEntries: impact?.reissued_entries ?? 0,
      spiffeIds: impact?.spiffe_ids ?? 0,
      agents: impact?.agents ?? 0,
      runningWorkloads: impact?.running_workloads ?? 0,
      runningAgents: impact?.running_agents ?? 0,
      silentAgents: impact?.silent_agents ?? 0,
    },
  };
}

function viewHolder(message: HolderMessage): HolderView {
  const { spiffe_id = '', entry_id = '', agent_id = '', purpose = '' } = message;
  return {
    spiffeId: spiffe_id,
    entryId: entry_id || null,
    agentId: agent_id || null,
    purpose,
    issuedAt: instantOf(message.issued_at_ms),
    expiresAt: instantOf(message.expires_at_ms),
  };
}

function viewRevocation(message: RevocationMessage): RevocationView {
  const { kind = '', value = '', issued_before_ms, expires_at_ms, reason = '', by = '' } = message;
  return {
    kind,
    value: kind === 'serial' ? asBytes(value) : value,
    issuedBefore: instantOf(issued_before_ms),
    until: instantOf(expires_at_ms),
    reason,
    by: by || null,
  };
}

function viewSuspension(message: SuspensionMessage): SuspensionView {
  const { kind = '', value = '', since_ms, reason = '', by = '', lifted } = message;
  return {
    kind,
    value,
    since: instantOf(since_ms),
    reason,
    by,
    lifted: lifted
      ? { at: instantOf(lifted.at_ms), reason: lifted.reason ?? '', by: lifted.by ?? '' }
      : null,
  };
}

function instantOf(ms: string = '0'): string {
  return new Date(Number(ms)).toISOString();
}

/** With the zero that a server leaves out, as certificates and the ledger show it. */
function asBytes(hex: string): string {
  return hex.length % 2 === 0 ? hex : `0${hex}`;
}
