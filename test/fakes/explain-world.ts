import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { createExplainService } from '../../src/api/explain-service.ts';
import { ExplainKnowledge, nodeSelectorsOf } from '../../src/api/index.ts';
import { AgentEntitlements } from '../../src/app/agent-entitlements.ts';
import { AgentExplain, type LocalProcesses } from '../../src/app/agent-explain.ts';
import { explainLocal, explainRemote, type RemoteNode } from '../../src/app/explain-sources.ts';
import { OpenStreams } from '../../src/app/open-streams.ts';
import {
  createWorkloadAttestation,
  findProcess,
  type WorkloadAttestor,
} from '../../src/attest/index.ts';
import type { EntryDraft } from '../../src/entries/index.ts';
import type { Explanation } from '../../src/explain/index.ts';
import { askServer } from '../../src/node/ask-server.ts';
import type { NodeStatus } from '../../src/node/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { createSds, createSecretType, defaultSdsNames } from '../../src/sds/index.ts';
import {
  parseSelector,
  type RegistrationEntry,
  SelectorSet,
  SpiffeId,
  TrustplaneError,
} from '../../src/spiffe/index.ts';
import { createWorkloadSource } from '../../src/svid/index.ts';
import { type PeerProcess, peersWithPid, serveUnix } from '../../src/wire/index.ts';
import { FakeAudit } from './fake-audit.ts';
import { FakeClock, settle } from './fake-clock.ts';
import { FakeRevocations } from './fake-revocations.ts';
import { FakeSvidIssuer } from './fake-svid-issuer.ts';
import { FakeTrustMap } from './fake-trust-map.ts';
import { attestationOf, openAgents } from './open-agents.ts';
import { openRegistry } from './open-registry.ts';
import { openRevocations } from './open-revocations.ts';
import { SdsClient, type SdsTestStream } from './sds-client.ts';
import { testAgentId, testDraft, testTrustDomain } from './test-entries.ts';

/** Of an agent whose server is elsewhere. */
export const remoteAgentId = 'spiffe://a.test/spire/agent/x509pop/one';

/**
 * A server and an agent out of their real rooms, on one clock. The workload is this process, over a real socket;
 * what attestors find of it is `shown`. `isRemote`: the server is in another process.
 */
export async function openExplainWorld({ isRemote = false }: { readonly isRemote?: boolean } = {}) {
  const clock = new FakeClock();
  const { revocations: registryOfRevocations } = await openRevocations({ clock });
  const { suspensions } = registryOfRevocations;
  const { registry: entries } = await openRegistry({ clock, suspensions });
  const { agents, issue } = await openAgents({ clock });
  const agentId = SpiffeId.parse(isRemote ? remoteAgentId : testAgentId);
  if (isRemote) await agents.attest(attestationOf('one'), issue);
  const agent = agents.get(agentId);
  const nodeSelectors = agent === undefined ? SelectorSet.of([]) : nodeSelectorsOf(agent);
  const authorized = entries.authorizedEntries({ agentId, nodeSelectors });
  const knowledge = new ExplainKnowledge({
    entries,
    agents,
    suspensions,
    localAgent: isRemote ? undefined : agentId,
  });
  const audit = new FakeAudit();
  const hub = { standing: () => ({ sentRevision: 'e:7', heldRevision: 'e:7', hasBacklog: false }) };
  const server = createExplainService({
    trustDomain: testTrustDomain,
    knowledge,
    authorization: {
      agentOf() {
        const attested = agents.get(agentId);
        if (attested === undefined) throw new TrustplaneError('ERR_AGENT_NOT_ATTESTED', 'gone');
        return attested;
      },
    },
    hub,
    clock,
    revocations: registryOfRevocations,
    ledger: audit,
  });

  /** Over the wire's own bytes. */
  const call = <Answer>(method: 'Ask' | 'WhatIf', request: object): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const definition = server.definition[method];
      const handler = server.implementation[method];
      if (definition === undefined || handler === undefined) throw new Error(method);
      const sent = definition.requestDeserialize(definition.requestSerialize(request));
      const respond = (error: unknown, answer: object): void =>
        error === null
          ? resolve(definition.responseDeserialize(definition.responseSerialize(answer)))
          : reject(error);
      Promise.resolve(Reflect.apply(handler, undefined, [{ request: sent }, respond])).catch(
        reject,
      );
    });

  const told = { facts: { entries: new Map<string, RegistrationEntry>() }, isComplete: isRemote };
  const listeners = new Set<() => void>();
  const source = {
    get facts() {
      return told.facts;
    },
    get isComplete() {
      return told.isComplete;
    },
    watchAll(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const remote = new AgentEntitlements(source, clock);
  onTestFinished(() => remote.close());
  const status: { -readonly [K in keyof NodeStatus]?: NodeStatus[K] } = {};
  let askFailure: Error | undefined;
  const node: RemoteNode = {
    status: () => ({
      agentId,
      certificateChain: [],
      expiresAt: clock.now() + 3_600_000,
      lapsed: undefined,
      server: 'server.a.test:8081',
      isTold: true,
      entries: told.facts.entries.size,
      updatedAt: clock.now(),
      faults: [],
      clockFault: undefined,
      ...status,
    }),
    facts: source,
    askWhy: (question: Parameters<typeof askServer>[1]) =>
      askFailure === undefined
        ? askServer(
            { call: (_name, request) => call('Ask', request), stream: () => never() },
            question,
            { trustDomain: testTrustDomain },
          )
        : Promise.reject(askFailure),
  };

  const issuer = new FakeSvidIssuer(clock, testTrustDomain, (id) => entries.get(id));
  const trust = new FakeTrustMap(issuer.bundle());
  const revocations = new FakeRevocations();
  const shown: string[] = ['unix:uid:1000', 'unix:gid:1000', 'unix:path:/usr/bin/web'];
  const attestors: WorkloadAttestor[] = [
    { name: 'unix', attest: async () => shown.map(parseSelector) },
  ];
  const log = silentLog;
  const metrics = createMetrics();
  const attestation = createWorkloadAttestation({ attestors, log, metrics, clock });
  const workloads = createWorkloadSource<PeerProcess>({
    entitlements: isRemote
      ? remote
      : {
          match: (selectors) => authorized.match(selectors),
          get: (id) => authorized.get(id),
          watch: (listener) => authorized.watch(listener),
          isComplete: () => true,
        },
    issuer,
    trust,
    revocations,
    attest: (peer, again) => attestation.attest(peer, again),
    isAlive: (peer) => peer.isAlive(),
    clock,
    random: () => 0.5,
    log,
    metrics,
  });
  onTestFinished(() => workloads.close());
  const streams = new OpenStreams();
  const secrets = createSecretType({
    names: defaultSdsNames,
    disableSpiffeCertValidation: false,
    unmatchableCa: Buffer.from('nothing'),
    log,
    metrics,
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'explain-'));
  const socket = path.join(folder, 'agent.sock');
  const sds = createSds(secrets, { source: workloads, clock, log, metrics, register: streams });
  const listener = await serveUnix({ path: socket, mode: 0o600, services: [sds], log, metrics });
  onTestFinished(async () => {
    await listener.close(0);
    rmSync(folder, { recursive: true });
  });
  const processes: { -readonly [K in keyof LocalProcesses]: LocalProcesses[K] } = {
    find: findProcess,
    inContainer: async () => [],
    connected: peersWithPid,
  };
  const explanations = new AgentExplain({
    trustDomain: testTrustDomain,
    clock,
    sources: isRemote ? explainRemote(node, clock) : explainLocal(knowledge, agentId, authorized),
    report: (process) => attestation.report(process),
    match: (selectors) => (isRemote ? remote.match(selectors) : authorized.match(selectors)),
    svids: workloads,
    trust,
    revocations,
    streams,
    secretNames: ['default', 'ROOTCA', 'ALL'],
    processes,
  });

  return {
    clock,
    entries,
    agents,
    agentId,
    suspensions,
    /** Of the server: what it recorded and what it was told to refuse. */
    audit,
    registryOfRevocations,
    issuer,
    trust,
    revocations,
    shown,
    attestors,
    processes,
    streams,
    status,
    told,
    setAskFailure: (error: Error) => void (askFailure = error),
    /** An entry below the agent, which knows of it at once. */
    async create(name: string, selectors?: readonly string[], more: Partial<EntryDraft> = {}) {
      const parentId = agentId.toString();
      const { entry } = await entries.create(
        testDraft(name, selectors, { id: name, parentId, ...more }),
      );
      this.sync();
      return entry;
    },
    /** The remote agent hears of everything. */
    sync() {
      told.facts = { entries: new Map(authorized.all().map((entry) => [entry.id, entry])) };
      for (const listen of listeners) listen();
    },
    /** An Envoy of this process asks; resolves when it has asked and, if there is something, answered. */
    async ask(
      names: readonly string[],
      answer: 'ack' | 'nack' | 'none' = 'ack',
      expects = true,
    ): Promise<SdsTestStream> {
      const client = new SdsClient(socket);
      onTestFinished(() => client.close());
      const stream = client.sotw();
      stream.send({ node: { id: 'envoy-1' }, resource_names: [...names] });
      if (expects) {
        const { nonce, version } = await stream.next();
        const answered = { resource_names: [...names], response_nonce: nonce };
        if (answer === 'ack') stream.send({ ...answered, version_info: version });
        if (answer === 'nack') stream.send({ ...answered, error_detail: { message: 'bad key' } });
      }
      const isDone = (): boolean => {
        const [report] = streams.find(({ ended }) => ended === undefined).slice(-1);
        const states = (report?.resources ?? []).map(({ state }) => state);
        return expects ? states.includes(STATES[answer]) : states.length > 0;
      };
      for (let turn = 0; turn < 2_000 && !isDone(); turn++) await settle();
      return stream;
    },
    async explain(
      question: Partial<Parameters<AgentExplain['explain']>[0]> = {},
    ): Promise<readonly Explanation[]> {
      const nobody = { containerId: undefined, envoyNodeId: undefined, resourceName: undefined };
      const isOfSomebody = question.containerId !== undefined || question.envoyNodeId !== undefined;
      const pids = isOfSomebody ? [] : [process.pid];
      return await explanations.explain({ pids, spiffeId: undefined, ...nobody, ...question });
    },
    whatIf: (request: object) =>
      call<{ readonly explanations: readonly WireExplanation[] }>('WhatIf', request),
  };
}

export type ExplainWorld = Awaited<ReturnType<typeof openExplainWorld>>;

interface WireExplanation {
  readonly verdict: string;
  readonly findings: readonly { readonly code: string; readonly next_step: string }[];
}

const STATES = { ack: 'taken', nack: 'refused', none: 'sent' } as const;

function never(): never {
  throw new Error('nobody streams here');
}
