import type { ServerDuplexStream } from '@grpc/grpc-js';
import type { AgentRegistry } from '../agents/index.ts';
import type { EntryRegistry } from '../entries/index.ts';
import { type Log, limitLog, type Metrics } from '../ops/index.ts';
import {
  type AuditLog,
  attestationDigest,
  type Clock,
  messageOf,
  type Selector,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { checkAgentCsr, parseAgentCsr, type WireAgentSvidParams } from './agent-csr.ts';
import type { AgentSvidIssuer } from './agent-svid-issuer.ts';
import { MessageReader } from './message-reader.ts';
import { RefusedAttestations } from './refused-attestations.ts';
import { buildX509Svid } from './svid-message.ts';

/** Bounds of one attestation. */
export const attestationLimits = {
  payloadBytes: 131_072,
  responseBytes: 65_536,
  challenges: 16,
  durationMs: 30_000,
} as const;

/** What an attestor found out about a node. */
interface AttestedNode {
  /** `/spire/agent/<attestor>/…` */
  readonly agentPath: string;
  /** The same node by another form of its evidence. */
  readonly twinPath?: string | undefined;
  readonly selectors: readonly Selector[];
  readonly canReattest: boolean;
  /** Trust on first use: refused where an agent of this ID is attested already. */
  readonly isFirstUseOnly?: true;
  /** What the agent is to be known as as well. */
  readonly alias?: SpiffeId | undefined;
  /** It is an agent already, of whatever attestor, and proved the key of this SVID of its own. */
  readonly returning?:
    | { readonly serialNumber: string; readonly publicKey: Uint8Array }
    | undefined;
}

/** One way for nodes to prove who they are. */
export interface NodeAttestor {
  /** The attestation type on the wire. */
  readonly name: string;
  attest(
    payload: Uint8Array,
    challenge: (challenge: Uint8Array) => Promise<Uint8Array>,
  ): Promise<AttestedNode>;
}

export interface AttestAgentOptions {
  readonly trustDomain: TrustDomain;
  readonly agents: Pick<AgentRegistry, 'attest' | 'readmit'>;
  /** The ways that are configured now. */
  readonly attestors: () => readonly NodeAttestor[];
  /** Where an alias becomes an entry. */
  readonly entries: Pick<EntryRegistry, 'create'>;
  readonly issueAgentSvid: AgentSvidIssuer;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
}

/** AttestAgentRequest; one of both. */
interface Step {
  readonly params?: {
    readonly data?: { readonly type?: string; readonly payload?: Uint8Array } | null;
    readonly params?: WireAgentSvidParams | null;
  } | null;
  readonly challenge_response?: Uint8Array;
}

/**
 * The handler of AttestAgent: parameters, then as many challenges as the attestor wants, then the
 * SVID. All that can be refused without the attestor is refused before it spends anything.
 */
export function createAttestAgent(
  options: AttestAgentOptions,
): (call: ServerDuplexStream<Step, object>) => Promise<void> {
  const refusals = options.metrics.counter(
    'trustplane_api_attestation_refusals_total',
    'Attestations of agents that were refused or failed, by error code.',
    ['code'],
  );
  const refusedOnes = new RefusedAttestations(options.audit, options.clock);
  // Whoever reaches the port can be refused as often as they like.
  const log = limitLog(options.log, options.clock);
  return async (call) => {
    const reader = new MessageReader<Step>(call);
    const timer = options.clock.setTimer(attestationLimits.durationMs, () =>
      reader.fail(
        refused('ERR_API_ATTEST_TIME', `it took over ${attestationLimits.durationMs} ms`),
      ),
    );
    let attestor: NodeAttestor | undefined;
    try {
      const { type, payload, csr } = parseParams(await reader.next(), options.trustDomain);
      const attestors = options.attestors();
      attestor = attestors.find(({ name }) => name === type);
      if (attestor === undefined) throw unknownType(type, attestors);
      const node = await attestor.attest(payload, challengeOver(call, reader));
      const result = await admit(options, attestor, node, csr);
      call.write({ result });
      call.end();
    } catch (error) {
      const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
      refusals.inc({ code });
      log.warn(
        { code, from: call.getPeer(), error: messageOf(error) },
        'an agent was not attested',
      );
      await refusedOnes.record({ attestor: attestor?.name ?? '', code, from: call.getPeer() });
      throw error;
    } finally {
      timer.cancel();
    }
  };
}

async function admit(
  options: AttestAgentOptions,
  attestor: NodeAttestor,
  node: AttestedNode,
  csr: ReturnType<typeof parseAgentCsr>,
): Promise<object> {
  const { trustDomain, agents, issueAgentSvid, log } = options;
  const { canReattest, isFirstUseOnly, selectors, returning } = node;
  const id = agentIdOf(attestor, node, trustDomain);
  checkAgentCsr(csr, id);
  const { publicKey } = csr;
  const twin = node.twinPath === undefined ? undefined : SpiffeId.of(trustDomain, node.twinPath);
  const facts = { selectors, canReattest, isFirstUseOnly, twin, publicKey };
  const attestation = { id, attestationType: attestor.name, ...facts };
  const known = returning === undefined ? selectors : undefined;
  const issue = () => issueAgentSvid(id, publicKey, known, twin);
  const svid =
    returning === undefined
      ? await agents.attest(attestation, issue)
      : await agents.readmit(id, returning, publicKey, issue);
  if (node.alias !== undefined) await registerAlias(options, id, node.alias);
  await options.audit.record([
    {
      kind: 'attestation',
      agentId: id.toString(),
      attestor: attestor.name,
      attestationDigest: known && attestationDigest(known),
      outcome: 'admitted',
    },
  ]);
  const { serialNumber, expiresAt } = svid;
  log.info({ agentId: id.toString(), serialNumber, expiresAt }, 'agent attested');
  return { svid: buildX509Svid(id, svid), reattestable: canReattest };
}

/** As SPIRE does for a token with an agent ID: an entry below the agent, for the agent. */
async function registerAlias(
  { entries }: AttestAgentOptions,
  id: SpiffeId,
  alias: SpiffeId,
): Promise<void> {
  await entries.create({
    spiffeId: alias.toString(),
    parentId: id.toString(),
    selectors: [{ type: 'spiffe_id', value: id.toString() }],
  });
}

function agentIdOf(attestor: NodeAttestor, node: AttestedNode, trustDomain: TrustDomain): SpiffeId {
  const isOwn = node.agentPath.startsWith(`/spire/agent/${attestor.name}/`);
  if (isOwn || node.returning !== undefined) {
    return SpiffeId.of(trustDomain, node.agentPath);
  }
  throw refused('ERR_INTERNAL', `the attestor ${attestor.name} made an ID of another`);
}

function parseParams(step: Step | undefined, trustDomain: TrustDomain) {
  const params = step?.params;
  if (params === undefined || params === null) throw notDue('params', step);
  const { type = '', payload = new Uint8Array() } = params.data ?? {};
  if (type === '') throw refused('ERR_API_REQUEST', 'params.data.type: expected one; got none');
  checkSize('params.data.payload', payload, attestationLimits.payloadBytes);
  return { type, payload, csr: parseAgentCsr(params.params, trustDomain) };
}

function challengeOver(call: ServerDuplexStream<Step, object>, reader: MessageReader<Step>) {
  let left: number = attestationLimits.challenges;
  return async (challenge: Uint8Array): Promise<Uint8Array> => {
    if (left-- === 0) {
      const message = `more than ${attestationLimits.challenges} challenges were needed`;
      throw refused('ERR_API_ATTEST_STEP', message);
    }
    call.write({ challenge });
    const step = await reader.next();
    const response = step?.challenge_response;
    if (response === undefined) throw notDue('challenge_response', step);
    checkSize('challenge_response', response, attestationLimits.responseBytes);
    return response;
  };
}

function checkSize(field: string, bytes: Uint8Array, most: number): void {
  if (bytes.length <= most) return;
  const message = `${field}: expected at most ${most} bytes; got ${bytes.length}`;
  throw refused('ERR_API_REQUEST', message);
}

function notDue(expected: string, step: Step | undefined): TrustplaneError {
  const got = step === undefined ? 'the end of the stream' : 'another step';
  return refused('ERR_API_ATTEST_STEP', `expected ${expected}; got ${got}`);
}

function unknownType(type: string, attestors: readonly NodeAttestor[]): TrustplaneError {
  const expected = attestors.map(({ name }) => name).join(', ');
  const got = JSON.stringify(type.slice(0, 64));
  return refused(
    'ERR_API_ATTEST_TYPE',
    `params.data.type: expected one of ${expected}; got ${got}`,
  );
}

function refused(code: ConstructorParameters<typeof TrustplaneError>[0], message: string) {
  return new TrustplaneError(code, message);
}
