import { randomBytes } from 'node:crypto';
import { Client, type ClientDuplexStream, type ServiceError } from '@grpc/grpc-js';
import { onTestFinished } from 'vitest';
import {
  AgentEntitlements,
  Authorization,
  type ConfirmationSink,
  createAgentService,
  createAgentSvidIssuer,
  createAuthorizedEntriesMethods,
  createBundleService,
  createEntryService,
  createJwtIssuance,
  createRevocationService,
  createSvidIssuance,
  createSvidService,
  createSyncService,
  createTrustDomainService,
  guardAgentSvids,
  guardIssuance,
  type NodeAttestor,
  nodeSelectorsOf,
  SyncHub,
  WorkloadReports,
} from '../../src/api/index.ts';
import { createJoinTokenAttestor, createLastKeyAttestor } from '../../src/attest/index.ts';
import { createTrustMapSource } from '../../src/federation/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import { buildCsr, generateP256KeyPair, SpiffeId } from '../../src/spiffe/index.ts';
import type { WireSyncResponse } from '../../src/sync/index.ts';
import {
  dialTls,
  type GrpcService,
  type GrpcTlsServer,
  loadService,
  serveTls,
  type TlsIdentity,
} from '../../src/wire/index.ts';
import { startCa, startJwtCa } from './ca-world.ts';
import { FakeAudit } from './fake-audit.ts';
import { openAgents, openTokens } from './open-agents.ts';
import { openFederation } from './open-federation.ts';
import { openRegistry } from './open-registry.ts';
import { openRevocations } from './open-revocations.ts';
import { testTrustDomain } from './test-entries.ts';

const services = {
  Agent: 'spire.api.server.agent.v1.Agent',
  Bundle: 'spire.api.server.bundle.v1.Bundle',
  Entry: 'spire.api.server.entry.v1.Entry',
  Revocations: 'trustplane.admin.v1.Revocations',
  SVID: 'spire.api.server.svid.v1.SVID',
  Sync: 'trustplane.sync.v1.Sync',
  TrustDomain: 'spire.api.server.trustdomain.v1.TrustDomain',
  PolicyService: 'trustplane.policy.v1.PolicyService',
} as const;

/** `Agent.GetAgent` and so on. */
type Method = `${keyof typeof services}.${string}`;

/** An identity with its SPIFFE ID, as it came from the server. */
export interface FleetIdentity extends TlsIdentity {
  readonly id: string;
}

/** The names that messages of tests need; all are optional on the wire. */
interface Message extends WireSyncResponse {
  readonly challenge?: Uint8Array;
  readonly result?: { readonly svid: WireSvid; readonly reattestable?: boolean };
}

interface WireSvid {
  readonly cert_chain: readonly Uint8Array[];
  readonly id: { readonly trust_domain: string; readonly path: string };
}

interface FleetOptions {
  readonly attestors?: readonly NodeAttestor[];
  /** It tells agents what changes. */
  readonly pushes?: boolean;
  /** What else it serves. */
  readonly services?: readonly GrpcService[];
}

/** A server's API on a real TLS port over real registries and a real CA; everything is closed when the test ends. */
export async function openFleet(options: FleetOptions = {}) {
  const world = await startCa();
  onTestFinished(() => world.close());
  const jwtCa = await startJwtCa(world);
  onTestFinished(() => jwtCa.close());
  const { ca, clock, ownBundle } = world;
  const { agents } = await openAgents({ clock });
  const { tokens } = openTokens({ clock });
  const { revocations } = await openRevocations({ clock });
  const { suspensions } = revocations;
  const { registry: entries } = await openRegistry({ clock, suspensions });
  const { bundles: foreignBundles, relationships } = await openFederation({ clock });
  const trustMap = createTrustMapSource({ ownBundle, foreignBundles, terms: relationships });
  const metrics = createMetrics();
  const authorization = new Authorization({ agents, entries, revocations, clock, metrics });
  const entitlements = new AgentEntitlements(agents, entries);
  const audit = new FakeAudit();
  const workloads = new WorkloadReports(agents);
  const userName = () => undefined;
  const attestationDigestOf = () => 'ab12';
  const log = silentLog;
  const about = { trustDomain: testTrustDomain, ca, jwtCa, clock, log, metrics };
  const common = { ...about, audit, userName, attestationDigestOf };
  const polled = new Set<string>();
  const authorizedEntriesOf = guardIssuance({
    entriesOf: (id) => entitlements.of(id),
    entryOf: (id) => entries.get(id),
    revocations,
    instant: () => clock.now(),
  });
  const issuance = createSvidIssuance({ ...common, authorizedEntriesOf });
  const jwtIssuance = createJwtIssuance({ ...common, authorizedEntriesOf });
  const forDownstream = {
    trustMap,
    downstreamCa: ca,
    onDownstream: (id: SpiffeId) => void polled.add(id.toString()),
  };
  const forAgents = createAuthorizedEntriesMethods({
    authorization,
    entitlements,
    onPolled: (id) => void polled.add(id.toString()),
  });
  const served = [
    createAgentService({
      ...common,
      agents,
      tokens,
      entries,
      authorization,
      attestors: () => [
        createJoinTokenAttestor(tokens),
        createLastKeyAttestor({ ...common, randomBytes }),
        ...(options.attestors ?? []),
      ],
      issueAgentSvid: guardAgentSvids(
        createAgentSvidIssuer(ca, () => 0, common),
        revocations,
        clock,
      ),
    }),
    createBundleService({
      foreignBundles,
      ownBundle: world.ownBundle.publisherFor('administrator'),
      ...forDownstream,
      authorization,
      downstreamBundle: world.ownBundle.publisherFor('downstream'),
      caTtlMs: 86_400_000,
      entries,
      clock,
      log: silentLog,
    }),
    createTrustDomainService({
      ...common,
      relationships,
      foreignBundles,
      refresh: async (name) => relationships.require(name),
    }),
    createEntryService({ entries, log: silentLog, forAgents }),
    createRevocationService({
      ...common,
      entries,
      agents,
      revocations,
      localAgent: undefined,
      reachOf: (agentId) => {
        const { selectors = [] } = agents.get(agentId) ?? {};
        const nodeSelectors = nodeSelectorsOf({ id: agentId, selectors });
        return entries.authorizedEntries({ agentId, nodeSelectors }).all();
      },
      countServing: (ids) => entitlements.countServing(ids),
      running: {
        workloads,
        mayServe: (id, entryId) => entitlements.of(id)?.heldAs(entryId) !== undefined,
      },
      ledger: audit,
      lastSvidEnd: () => clock.now() + 86_400_000,
      latestIssue: () => clock.now(),
      clockAheadMs: () => 0,
    }),
    createSvidService({
      ...common,
      ...forDownstream,
      issuance,
      jwtIssuance,
      authorization,
      revocations,
    }),
  ];
  const confirmed = new Map<string, string>();
  const connections: string[] = [];
  if (options.pushes === true) {
    const hub = new SyncHub({
      ...common,
      agents,
      entitlements,
      trustMap,
      revocations,
      epoch: 'life-1',
    });
    onTestFinished(() => hub.close());
    const confirmations: ConfirmationSink = {
      onConnected: (id) => void connections.push(`+${id.path}`),
      onConfirmed: (id, digest) => void confirmed.set(id.toString(), digest),
      onDisconnected: (id) => void connections.push(`-${id.path}`),
    };
    served.push(createSyncService({ hub, agents, authorization, confirmations, clock }));
  }
  let identity: FleetIdentity;
  served.push(...(options.services ?? []));
  const services = served.map((service) => authorization.guard(service));
  let server = await listen(0);
  const { port } = server;
  onTestFinished(async () => {
    await server.close(0);
    entitlements.close();
  });

  /** With a new SVID. */
  async function listen(onPort: number): Promise<GrpcTlsServer> {
    identity = await issueIdentity('spiffe://a.test/spire/server');
    return await serveTls({
      host: '127.0.0.1',
      port: onPort,
      identity: () => identity,
      trust: () => trustMap.current().own,
      services,
      log: silentLog,
      metrics,
      clock,
      limits: { maxAnonymousConnections: 200, maxConnectionsPerNetwork: 400 },
    });
  }

  /** Signed by the CA without asking any registry. */
  async function issueIdentity(id: string): Promise<FleetIdentity> {
    const { publicKey, privateKey } = generateP256KeyPair();
    const spiffeId = SpiffeId.parse(id);
    const svid = await ca.issueX509Svid({ spiffeId, publicKey, ttlSeconds: 0, dnsNames: [] });
    return { id, certificateChain: svid.certificateChain, privateKey };
  }

  /** A client of its own connection; without an identity it is anonymous. */
  function dial(presented?: TlsIdentity): FleetClient {
    const {
      target,
      credentials,
      options: dialed,
    } = dialTls({
      host: '127.0.0.1',
      port,
      ...(presented && { identity: () => presented }),
      trust: {
        serverId: SpiffeId.parse('spiffe://a.test/spire/server'),
        bundle: () => trustMap.current().own,
      },
      clock,
    });
    const client = new FleetClient(new Client(target, credentials, dialed));
    onTestFinished(() => client.close());
    return client;
  }

  /** Joins a node with a new token. */
  async function join(agentId?: string): Promise<FleetIdentity> {
    const { token } = await tokens.create({
      ttlSeconds: 60,
      token: randomBytes(16).toString('hex'),
      ...(agentId !== undefined && { agentId: SpiffeId.parse(agentId) }),
    });
    return await dial().attest('join_token', Buffer.from(token));
  }

  return {
    ...common,
    agents,
    tokens,
    entries,
    foreignBundles,
    trustMap,
    ownBundle: world.ownBundle,
    /** Bundle digests by agent. */
    confirmed,
    /** `+` and `-` with the path of an agent whose sync stream began or ended. */
    connections,
    /** Agents that asked what they may serve. */
    polled,
    revocations,
    /** What agents say runs on their hosts. */
    workloads,
    jwtCa,
    port,
    /** Nobody answers on its port any more. */
    stop: () => server.close(0),
    async restart() {
      server = await listen(port);
    },
    /** The same on another port. */
    async listenToo() {
      const another = await listen(0);
      onTestFinished(() => another.close(0));
      return another;
    },
    dial,
    join,
    issueIdentity,
  };
}

export class FleetClient {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  close(): void {
    this.#client.close();
  }

  call(name: Method, request: object = {}): Promise<unknown> {
    const method = definitionOf(name);
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        (error: ServiceError | null, response: unknown) =>
          error === null ? resolve(response) : reject(error),
      );
    });
  }

  /** A stream whose answers are read one at a time; a failed call rejects the read. */
  stream(name: Method) {
    const method = definitionOf(name);
    const call: ClientDuplexStream<object, Message> = this.#client.makeBidiStreamRequest(
      method.path,
      method.requestSerialize,
      (bytes): Message => method.responseDeserialize(bytes),
    );
    const answers = call[Symbol.asyncIterator]();
    return {
      send: (message: object): void => void call.write(message),
      end: (): void => void call.end(),
      cancel: (): void => call.cancel(),
      /** Undefined at the end. */
      async read(): Promise<Message | undefined> {
        const { value, done } = await answers.next();
        return done === true ? undefined : value;
      },
    };
  }

  /** Attests without challenges. */
  async attest(
    type: string,
    payload: Uint8Array,
    keys = generateP256KeyPair(),
    csr: Uint8Array = csrWithoutId(keys),
  ): Promise<FleetIdentity> {
    const stream = this.stream('Agent.AttestAgent');
    stream.send({ params: { data: { type, payload }, params: { csr } } });
    const answer = await stream.read();
    stream.end();
    if (answer?.result === undefined) throw new Error('attested without a result');
    const { cert_chain, id } = answer.result.svid;
    return {
      id: `spiffe://${id.trust_domain}${id.path}`,
      certificateChain: cert_chain,
      privateKey: keys.privateKey,
    };
  }
}

/** What SPIRE's agents send: a key without a name. */
export function csrWithoutId(keys: ReturnType<typeof generateP256KeyPair>): Uint8Array {
  return buildCsr(keys);
}

export function csrFor(id: string, keys = generateP256KeyPair()): Uint8Array {
  return buildCsr({ ...keys, spiffeId: SpiffeId.parse(id) });
}

function definitionOf(name: Method) {
  const [service = '', method = ''] = name.split('.');
  const qualified = Object.entries(services).find(([key]) => key === service)?.[1] ?? '';
  const short = service.replace('Service', '').toLowerCase();
  const file = qualified.startsWith('trustplane.')
    ? `${qualified.split('.').slice(0, -1).join('/')}/${short}.proto`
    : `spire/api/server/${short}/v1/${short}.proto`;
  const definition = loadService(file, qualified)[method];
  if (definition === undefined) throw new Error(`no method ${name}`);
  return definition;
}
