import { TrustplaneError } from '../spiffe/index.ts';
import { dialAdmin } from './admin-call.ts';
import {
  type AgentMessage,
  type ApplyMessage,
  buildAgentView,
  buildApplyView,
  buildServerView,
  buildVersionView,
  type PolicyApplyView,
  type PolicyStatusView,
  type PolicyVersionView,
  type ServerMessage,
  type VersionMessage,
} from './policy-message.ts';

/** A file of policies as it is given or shown. */
export interface PolicyFileView {
  readonly name: string;
  readonly content: Uint8Array;
}

export interface ApplyRequest {
  readonly files: readonly PolicyFileView[];
  readonly reason: string;
  readonly claimedAuthor?: string | undefined;
  /** Default: whichever is there. */
  readonly expectedVersion?: number | undefined;
  readonly isDryRun?: boolean;
  readonly skipTests?: boolean;
  readonly isForced?: boolean;
  readonly isRepair?: boolean;
}

export interface RollbackRequest
  extends Pick<ApplyRequest, 'reason' | 'claimedAuthor' | 'expectedVersion'> {
  readonly version: number;
}

export interface HistoryView {
  /** The latest first. */
  readonly versions: readonly PolicyVersionView[];
  readonly hasMore: boolean;
  readonly kept: number;
  /** What is wrong with the chain. */
  readonly faults: readonly string[];
}

/** The policies of the control plane, over the admin socket of a server. Every call fails with a TrustplaneError. */
export interface PolicyClient {
  apply(request: ApplyRequest): Promise<PolicyApplyView>;
  rollback(request: RollbackRequest): Promise<PolicyApplyView>;
  history(limit: number, verify: boolean): Promise<HistoryView>;
  /** 0: the present one. */
  show(version: number): Promise<{
    readonly version: PolicyVersionView;
    readonly files: readonly PolicyFileView[];
  }>;
  /** Now and, to follow, after each change. */
  status(follow: boolean): AsyncIterable<PolicyStatusView>;
  /** How many versions are gone. */
  prune(keep: number): Promise<number>;
  close(): void;
}

/** Many policies take a while to be checked. */
const TIMEOUT_MS = 120_000;

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createPolicyClient(socket: string): PolicyClient {
  const { call, stream, upload, close } = dialAdmin(socket);
  return {
    apply: async (request) =>
      buildApplyView(
        await upload<ApplyMessage>('Policy', 'Apply', applyMessages(request), TIMEOUT_MS),
      ),
    rollback: async ({ version, ...words }) =>
      buildApplyView(
        await call('Policy', 'Rollback', { version: String(version), ...wordsOf(words) }),
      ),
    async history(limit, verify) {
      const answer = await call<{
        versions?: readonly VersionMessage[];
        more?: boolean;
        faults?: readonly string[];
        kept?: number;
      }>('Policy', 'History', { limit, verify }, TIMEOUT_MS);
      const { versions = [], more = false, faults = [], kept = 0 } = answer;
      return { versions: versions.map(buildVersionView), hasMore: more, faults, kept };
    },
    async show(version) {
      const messages = stream<{ version?: VersionMessage; file?: Partial<PolicyFileView> }>(
        'Policy',
        'Show',
        { version: String(version) },
      );
      let shown: PolicyVersionView | undefined;
      const files: PolicyFileView[] = [];
      for await (const { version: message, file } of messages) {
        if (message !== undefined) shown = buildVersionView(message);
        if (file) files.push({ name: file.name ?? '', content: file.content ?? new Uint8Array() });
      }
      if (shown === undefined || files.length !== shown.files)
        throw new TrustplaneError('ERR_REMOTE', 'the server did not show the whole version');
      return { version: shown, files };
    },
    async *status(follow) {
      const parts = stream<StatusMessage>('Policy', 'Status', { follow });
      let first: StatusMessage | undefined;
      const agents: AgentMessage[] = [];
      for await (const part of parts) {
        first ??= part;
        agents.push(...(part.agents ?? []));
        if (part.is_last !== true) continue;
        yield buildStatus(first, agents.splice(0));
        first = undefined;
      }
    },
    prune: async (keep) =>
      (await call<{ forgotten?: number }>('Policy', 'Prune', { keep }, TIMEOUT_MS)).forgotten ?? 0,
    close,
  };
}

interface StatusMessage {
  readonly is_last?: boolean;
  readonly version?: VersionMessage;
  readonly fault?: string;
  readonly server_id?: string;
  readonly agents?: readonly AgentMessage[];
  readonly servers?: readonly ServerMessage[];
}

function buildStatus(
  { version, fault, server_id, servers = [] }: StatusMessage,
  agents: readonly AgentMessage[],
): PolicyStatusView {
  return {
    version: version === undefined ? null : buildVersionView(version),
    fault: fault || null,
    server: server_id ?? '',
    agents: agents.map(buildAgentView),
    servers: servers.map(buildServerView),
  };
}

function* applyMessages(request: ApplyRequest): Generator<object> {
  const {
    files,
    isDryRun = false,
    skipTests = false,
    isForced = false,
    isRepair = false,
  } = request;
  const flags = { dry_run: isDryRun, skip_tests: skipTests, force: isForced, repair: isRepair };
  yield { draft: { ...wordsOf(request), ...flags } };
  for (const file of files) yield { file };
}

function wordsOf({
  reason,
  claimedAuthor = '',
  expectedVersion,
}: Pick<ApplyRequest, 'reason' | 'claimedAuthor' | 'expectedVersion'>): object {
  return {
    reason,
    claimed_author: claimedAuthor,
    ...(expectedVersion !== undefined && { expected_version: String(expectedVersion) }),
  };
}
