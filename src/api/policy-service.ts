import type { ServerReadableStream, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import {
  type PolicyAuthor,
  type PolicyCheck,
  type PolicyRegistry,
  type PolicyTakers,
} from '../policies/index.ts';
import type { ServerDirectory } from '../servers/index.ts';
import {
  type Clock,
  type PolicyFile,
  type PolicyTexts,
  policyFile,
  policyTextLimits,
  TrustplaneError,
} from '../spiffe/index.ts';
import { callerOf, type GrpcService, loadService } from '../wire/index.ts';
import { MessageReader } from './message-reader.ts';
import {
  buildCheck,
  buildVersion,
  parseVersionNumber,
  type WireVersion,
} from './policy-messages.ts';
import { type StatusCall, sendPolicyStatus } from './policy-status.ts';
import { unary } from './unary.ts';
import { writePaced } from './write-paced.ts';

export interface PolicyServiceOptions {
  readonly policies: Pick<
    PolicyRegistry,
    | 'apply'
    | 'rollback'
    | 'history'
    | 'verify'
    | 'show'
    | 'prune'
    | 'latest'
    | 'current'
    | 'version'
    | 'versionOf'
    | 'fault'
    | 'watch'
  >;
  readonly takers: Pick<PolicyTakers, 'list' | 'watch'>;
  /** Reads, checks and tries files; says what they change, with `compares` in what is decided too. */
  readonly check: (
    files: readonly PolicyFile[],
    before: PolicyTexts | undefined,
    compares: boolean,
  ) => Promise<PolicyCheck & { readonly changes: readonly string[] }>;
  /** Of a user of this host. */
  readonly userName: (uid: number) => string | undefined;
  readonly serverId: string;
  /** The servers that share the store; undefined: there are no others. */
  readonly directory: Pick<ServerDirectory, 'others' | 'isCurrent' | 'watch'> | undefined;
  readonly clock: Clock;
}

interface WireDraft {
  readonly reason?: string;
  readonly claimed_author?: string;
  readonly expected_version?: string;
  readonly dry_run?: boolean;
  readonly skip_tests?: boolean;
  readonly force?: boolean;
  readonly repair?: boolean;
}

interface WireFile {
  readonly name?: string;
  readonly content?: Uint8Array;
}

interface ApplyRequest {
  readonly draft?: WireDraft | null;
  readonly file?: WireFile | null;
}

interface ApplyResponse {
  readonly version?: WireVersion;
  readonly is_new?: boolean;
  readonly check?: object;
  readonly changes?: readonly string[];
}

interface RollbackRequest {
  readonly version?: string;
  readonly reason?: string;
  readonly claimed_author?: string;
  readonly expected_version?: string;
}

interface HistoryRequest {
  readonly limit?: number;
  readonly before?: string;
  readonly verify?: boolean;
}

type ApplyCall = ServerReadableStream<ApplyRequest, ApplyResponse>;
type ShowCall = ServerWritableStream<{ readonly version?: string }, object>;
type Peered = { getPeer(): string };

const MAX_HISTORY = 1_000;
const USUAL_HISTORY = 100;

/** trustplane.policy.v1.PolicyService; to be guarded. */
export function createPolicyService(options: PolicyServiceOptions): GrpcService {
  return {
    definition: loadService(
      'trustplane/policy/v1/policy.proto',
      'trustplane.policy.v1.PolicyService',
    ),
    implementation: {
      Apply: (call: ApplyCall, respond: sendUnaryData<ApplyResponse>): unknown =>
        apply(options, call).then((answer) => respond(null, answer)),
      Rollback: unary((request: RollbackRequest, call) => rollback(options, request, call)),
      History: unary((request: HistoryRequest) => listHistory(options, request)),
      Show: (call: ShowCall): unknown => show(options, call),
      Status: (call: StatusCall): unknown => sendPolicyStatus(options, call),
      Prune: unary(({ keep = 0 }: { readonly keep?: number }) => prune(options, keep)),
    },
  };
}

async function apply(options: PolicyServiceOptions, call: ApplyCall): Promise<ApplyResponse> {
  const { policies, check } = options;
  const author = authorOf(options, call);
  const reader = new MessageReader<ApplyRequest>(call);
  const draft = (await reader.next())?.draft;
  if (!draft) throw malformed('the first message: expected a draft; got none');
  const isRepair = draft.repair ?? false;
  const expected = isRepair ? 0 : await expectedOf(options, draft.expected_version);
  const files = await readFiles(reader);
  const { changes, ...checked } = await check(files, policies.current(), draft.dry_run ?? false);
  const { complaints, failedTests, digest, rules } = checked;
  const isRefused = complaints.length > 0 || (failedTests.length > 0 && draft.skip_tests !== true);
  const answer = { check: buildCheck(checked), changes };
  if (isRefused || draft.dry_run === true) return answer;
  const { version, isNew } = await policies.apply({
    files,
    author,
    claimedAuthor: draft.claimed_author ?? '',
    reason: draft.reason ?? '',
    digest,
    rules,
    skippedTests: failedTests.length > 0,
    expected,
    isForced: draft.force ?? false,
    isRepair,
  });
  return { ...answer, version: buildVersion(version), is_new: isNew };
}

/** @throws TrustplaneError ERR_API_REQUEST, ERR_POLICY_SET */
async function readFiles(reader: MessageReader<ApplyRequest>): Promise<readonly PolicyFile[]> {
  const files: PolicyFile[] = [];
  let total = 0;
  for (let next = await reader.next(); next !== undefined; next = await reader.next()) {
    const { file } = next;
    if (!file) throw malformed('a message behind the draft: expected a file; got none');
    const { name = '', content = new Uint8Array() } = file;
    total += content.length;
    if (files.length >= policyTextLimits.files || total > policyTextLimits.bytes) {
      const most = `${policyTextLimits.files} files of ${policyTextLimits.bytes} bytes in all`;
      throw new TrustplaneError('ERR_POLICY_SET', `a set of policies: expected at most ${most}`);
    }
    files.push(policyFile(name, content));
  }
  return files;
}

async function rollback(
  options: PolicyServiceOptions,
  request: RollbackRequest,
  call: Peered,
): Promise<ApplyResponse> {
  const author = authorOf(options, call);
  const number = parseVersionNumber('version', request.version);
  const expected = await expectedOf(options, request.expected_version);
  await requireReadable(options, number);
  const { version, isNew } = await options.policies.rollback(number, {
    author,
    claimedAuthor: request.claimed_author ?? '',
    reason: request.reason ?? '',
    expected,
  });
  return { version: buildVersion(version), is_new: isNew };
}

/** What another release took, this one may refuse, and every host would. @throws TrustplaneError ERR_POLICY */
async function requireReadable(
  { policies, check }: PolicyServiceOptions,
  version: number,
): Promise<void> {
  const { texts } = await policies.show(version);
  const { complaints } = await check(texts.files, undefined, false);
  if (complaints.length > 0) throw new TrustplaneError('ERR_POLICY', complaints.join('\n'));
}

async function listHistory(
  { policies }: PolicyServiceOptions,
  { limit = 0, before, verify = false }: HistoryRequest,
): Promise<object> {
  const { versions, faults } = verify ? await policies.verify() : await policies.history();
  const last = parseVersionNumber('before', before) || Number.POSITIVE_INFINITY;
  const some = versions.filter(({ version }) => version < last).reverse();
  const shown = some.slice(0, Math.min(limit || USUAL_HISTORY, MAX_HISTORY));
  return {
    versions: shown.map(buildVersion),
    more: some.length > shown.length,
    faults,
    kept: versions.length,
  };
}

async function show({ policies }: PolicyServiceOptions, call: ShowCall): Promise<void> {
  const asked = parseVersionNumber('version', call.request.version);
  const number = asked || (await policies.latest());
  if (number === 0)
    throw new TrustplaneError('ERR_POLICY_VERSION', 'the control plane has no policies');
  const { version, texts } = await policies.show(number);
  await writePaced(call, { version: buildVersion(version) });
  for (const { name, bytes } of texts.files) {
    if (call.cancelled) return;
    await writePaced(call, { file: { name, content: bytes } });
  }
  call.end();
}

async function prune({ policies }: PolicyServiceOptions, keep: number): Promise<object> {
  if (keep < 1) throw malformed('keep: expected at least 1; got 0');
  return { forgotten: await policies.prune(keep) };
}

async function expectedOf(
  { policies }: PolicyServiceOptions,
  said: string | undefined,
): Promise<number> {
  return said === undefined
    ? await policies.latest()
    : parseVersionNumber('expected_version', said);
}

/** As the kernel or the SVID names it; nothing in it comes from the caller. */
function authorOf({ userName }: PolicyServiceOptions, call: Peered): PolicyAuthor {
  const caller = callerOf(call);
  if (caller.kind === 'svid') return { kind: 'svid', id: caller.svid.spiffeId.toString() };
  if (caller.kind !== 'local')
    throw new TrustplaneError('ERR_API_CALLER', 'only an administrator may change policies');
  const { uid } = caller.peer;
  const name = userName(uid);
  return { kind: 'user', uid, ...(name !== undefined && { name }) };
}

function malformed(message: string): TrustplaneError {
  return new TrustplaneError('ERR_API_REQUEST', message);
}
