import { randomBytes, X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { Agent, request } from 'node:https';
import path from 'node:path';
import { TLSSocket } from 'node:tls';
import { encodeRbacExtension, type Matcher, rbacMessage } from '../../src/authz/rbac/index.ts';
import { createThrowawayCa } from '../../src/ca/index.ts';
import { createEcds, createExtensionType } from '../../src/ecds/index.ts';
import { parseBootstrapFlags, writeBootstrapJson } from '../../src/envoy/index.ts';
import { createMetrics, type Metrics, silentLog, systemClock } from '../../src/ops/index.ts';
import { createSds, createSecretType, defaultSdsNames } from '../../src/sds/index.ts';
import { encodePem, type WorkloadUpdate, type X509Identity } from '../../src/spiffe/index.ts';
import { type PeerProcess, serveUnix, type UnixServer } from '../../src/wire/index.ts';
import { createAds } from '../../src/xds/index.ts';
import { FakeExtensions } from '../fakes/fake-extensions.ts';
import { FakeWorkloadSource } from '../fakes/fake-workload-source.ts';
import { bundleOf, type TestCertificate } from '../fakes/test-certificates.ts';
import { textUpdate } from '../fakes/test-updates.ts';
import { eventually } from './eventually.ts';
import { adminSocketOf, launchEnvoy } from './launch-envoy.ts';
import { createRunFolder, type RunFolder } from './run-folder.ts';
import { issueAuthority, issueLeaf, type Leaf, serverIdentity } from './sds-ground.ts';

const SERVER_ID = 'spiffe://a.test/server';
const unmatchableCa = createThrowawayCa(Date.now(), randomBytes);

/** Of the filter of the Envoy, and of what it is given. */
export const rulesName = `trustplane.rbac:${SERVER_ID}`;

/** How an Envoy asks. */
export interface EcdsForm {
  readonly kind: 'delta' | 'sotw';
  /** Over ADS, on one stream with its secrets. */
  readonly isAggregated: boolean;
}

/** What a request was answered. */
export interface TlsAnswer {
  readonly status: number;
  readonly isReused: boolean;
  /** Of the Envoy's certificate, in hexadecimal digits. */
  readonly serialNumber: string;
}

/**
 * An Envoy as `envoy bootstrap` has it, and a server of SDS, ECDS and ADS with rules of the test's making.
 * A version of rules is the paths that it allows, as in `/a /b`, or `bad`, which Envoy refuses.
 */
export class EcdsGround {
  readonly form: EcdsForm;
  readonly extensions: FakeExtensions = new FakeExtensions(rulesOf);
  readonly #stack: AsyncDisposableStack = new AsyncDisposableStack();
  readonly #folder: RunFolder = createRunFolder();
  readonly #authority: TestCertificate;
  readonly #client: Leaf;
  #update: WorkloadUpdate;
  #source: FakeWorkloadSource<PeerProcess>;
  #metrics: Metrics = createMetrics();
  #server: UnixServer | undefined;

  private constructor(form: EcdsForm, authority: TestCertificate, client: Leaf, server: Leaf) {
    this.form = form;
    this.#authority = authority;
    this.#client = client;
    this.#update = textUpdate([serverIdentity(server)], [bundleOf('a.test', authority)]);
    this.#source = new FakeWorkloadSource(this.#update);
  }

  /** Resolves when Envoy serves, which has no rules yet. */
  static async open(form: EcdsForm): Promise<EcdsGround> {
    const authority = await issueAuthority('a.test');
    const client = await issueLeaf(authority, 'spiffe://a.test/client');
    const ground = new EcdsGround(form, authority, client, await issueLeaf(authority, SERVER_ID));
    ground.extensions.set(rulesName, 'pending');
    await ground.#launch();
    return ground;
  }

  /** The server comes, or comes back: it knows who the Envoy is, and nothing of its earlier streams. */
  async serve(): Promise<void> {
    this.#metrics = createMetrics();
    this.#source = new FakeWorkloadSource(this.#update);
    const log = silentLog;
    const metrics = this.#metrics;
    const secrets = createSecretType({
      log,
      metrics,
      names: defaultSdsNames,
      disableSpiffeCertValidation: false,
      unmatchableCa,
    });
    const extensions = createExtensionType({ log, metrics, extensions: this.extensions });
    const ground = { source: this.#source, clock: systemClock, log, metrics };
    this.#server = await serveUnix({
      path: this.#place('agent'),
      mode: 0o600,
      services: [
        createSds(secrets, ground),
        createEcds(extensions, ground),
        createAds([secrets, extensions], ground),
      ],
      log,
      metrics,
    });
  }

  /** The server dies. */
  async leave(): Promise<void> {
    await this.#server?.close(0);
  }

  /** Another certificate for Envoy; resolves with its serial number. */
  async rotate(): Promise<string> {
    const leaf = await issueLeaf(this.#authority, SERVER_ID);
    this.publish([serverIdentity(leaf)]);
    return new X509Certificate(leaf.certificate.der).serialNumber;
  }

  publish(identities: readonly X509Identity[]): void {
    this.#update = textUpdate(identities, [bundleOf('a.test', this.#authority)]);
    this.#source.publish(this.#update);
  }

  get identities(): readonly X509Identity[] {
    return this.#update.identities;
  }

  /** Gives Envoy rules that it does not have, and resolves with what becomes of them. */
  async give(version: string, ttlMs?: number): Promise<string> {
    const { verdicts } = this.extensions;
    const count = verdicts.length;
    this.extensions.publish(rulesName, { version, ...(ttlMs !== undefined && { ttlMs }) });
    return await this.verdict(count);
  }

  /** What is said after the first `count` verdicts. */
  async verdict(count: number): Promise<string> {
    return await eventually('a verdict', () => this.extensions.verdicts[count]);
  }

  /** A client that keeps its one connection. */
  agent(): Agent {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.#stack.defer(() => agent.destroy());
    return agent;
  }

  /** `GET` of that path, on a connection of its own or the one that `agent` keeps. */
  async ask(target: string, agent: Agent | false = false): Promise<TlsAnswer> {
    const { certificate, key } = this.#client;
    return await new Promise((resolve, reject) => {
      const outgoing = request({
        agent,
        path: target,
        socketPath: this.#place('inbound'),
        headers: { host: 'test' },
        cert: encodePem('CERTIFICATE', certificate.der),
        key: encodePem('PRIVATE KEY', key),
        rejectUnauthorized: false,
        signal: AbortSignal.timeout(5_000),
      });
      outgoing.on('error', reject).on('response', (incoming) => {
        const { socket } = incoming;
        if (!(socket instanceof TLSSocket)) return reject(new Error('no TLS'));
        const { serialNumber } = socket.getPeerCertificate();
        incoming.resume().on('end', () => {
          const { statusCode: status = 0 } = incoming;
          resolve({ status, isReused: outgoing.reusedSocket, serialNumber });
        });
      });
      outgoing.end();
    });
  }

  /** Which of these paths are allowed now. */
  async allowed(targets: readonly string[], agent?: Agent): Promise<string> {
    const found: string[] = [];
    for (const target of targets)
      if ((await this.ask(target, agent)).status === 200) found.push(target);
    return found.join(' ');
  }

  /** Resolves when a metric of the server has come to that. */
  async counts(name: string, least: number): Promise<void> {
    await eventually(`${name} ${least}`, async () => (await this.metric(name)) >= least);
  }

  async metric(name: string): Promise<number> {
    const lines = (await this.#metrics.render()).split('\n');
    return Number(
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')
        .at(-1) ?? 0,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #launch(): Promise<void> {
    this.#stack.defer(async () => await this.#folder.remove());
    const application = createServer((_, response) => void response.end('ok'));
    this.#stack.defer(() => {
      application.close();
      application.closeAllConnections();
    });
    application.listen(this.#place('application'));
    this.#stack.defer(async () => await this.leave());
    await this.serve();
    const envoy = await launchEnvoy({
      folder: this.#folder.path,
      name: 'server',
      bootstrap: this.#bootstrap(),
    });
    this.#stack.defer(async () => await envoy.stop());
    await envoy.waitReady();
  }

  #bootstrap(): string {
    const { kind, isAggregated } = this.form;
    const options = parseBootstrapFlags({
      role: 'server',
      spiffeId: SERVER_ID,
      agentSocket: this.#place('agent'),
      accessLog: path.join(this.#folder.path, 'access.log'),
      admin: adminSocketOf(this.#folder.path, 'server'),
      listen: this.#place('inbound'),
      upstream: this.#place('application'),
      maxConnectionDuration: '1h',
      sotw: kind === 'sotw',
      ads: isAggregated,
    });
    return writeBootstrapJson(options);
  }

  #place(name: string): string {
    return path.join(this.#folder.path, `${name}.sock`);
  }
}

/** A TypedExtensionConfig of RBAC. */
function rulesOf(name: string, version: string): Uint8Array {
  const allow = { kind: 'action', name: 'allowed', action: 'ALLOW' } as const;
  const regex = version === 'bad' ? '(?!a)' : version.replaceAll(' ', '|');
  const when = {
    kind: 'value',
    input: { kind: 'path' },
    match: { kind: 'regex', regex },
  } as const;
  const otherwise = { kind: 'action', name: 'no_rule_matched', action: 'DENY' } as const;
  const matcher: Matcher = { kind: 'list', entries: [{ when, then: allow }], otherwise };
  return encodeRbacExtension(name, rbacMessage({ target: 'http', matcher }));
}
