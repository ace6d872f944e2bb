import { randomBytes, webcrypto } from 'node:crypto';
import path from 'node:path';
import { connect } from 'node:tls';
import { createThrowawayCa } from '../../src/ca/index.ts';
import {
  createMetrics,
  type Log,
  type Metrics,
  silentLog,
  systemClock,
} from '../../src/ops/index.ts';
import { createSds, createSecretType, defaultSdsNames } from '../../src/sds/index.ts';
import {
  encodePem,
  SpiffeId,
  TrustDomain,
  type WorkloadUpdate,
  type X509Identity,
} from '../../src/spiffe/index.ts';
import { type PeerProcess, serveUnix, type UnixServer } from '../../src/wire/index.ts';
import { FakeWorkloadSource } from '../fakes/fake-workload-source.ts';
import {
  makeAuthority,
  makeCertificate,
  type TestCertificate,
} from '../fakes/test-certificates.ts';
import { textUpdate } from '../fakes/test-updates.ts';
import { eventually } from './eventually.ts';
import { adminSocketOf, launchEnvoy, type RunningEnvoy } from './launch-envoy.ts';
import { renderBootstrap } from './render-bootstrap.ts';
import { createRunFolder, type RunFolder } from './run-folder.ts';

const SERVER_ID = 'spiffe://a.test/server';
const unmatchableCa = createThrowawayCa(Date.now(), randomBytes);
const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };

export interface Leaf {
  readonly certificate: TestCertificate;
  /** PKCS#8 DER. */
  readonly key: Uint8Array;
}

/** What a caller shows. */
type Shown = Pick<Leaf, 'key'> & { readonly certificate: Pick<TestCertificate, 'der'> };

export async function issueLeaf(issuer: TestCertificate, uri: string): Promise<Leaf> {
  const certificate = await makeCertificate({ issuer, uris: [uri], ...validity });
  const key = await webcrypto.subtle.exportKey('pkcs8', certificate.keys.privateKey);
  return { certificate, key: new Uint8Array(key) };
}

export const issueAuthority = (trustDomain: string): Promise<TestCertificate> =>
  makeAuthority({
    subject: `CN=${trustDomain} ${randomBytes(4).toString('hex')}`,
    uris: [`spiffe://${trustDomain}`],
    ...validity,
  });

/** The server's identity, which federates with `b.test`. */
export function serverIdentity({ certificate, key }: Leaf): X509Identity {
  return {
    entryId: 'server',
    spiffeId: SpiffeId.parse(SERVER_ID),
    hint: '',
    certificateChain: [certificate.der],
    privateKey: key,
    notBefore: validity.notBefore,
    expiresAt: validity.notAfter,
    federatesWith: [TrustDomain.parse('b.test')],
  };
}

const SAN_LIST =
  /default_validation_context:\n(?: *#.*\n)* *match_typed_subject_alt_names:\n.*\n.*\n/u;

/** The server sidecar without its list of callers. */
export const withoutSanList = (bootstrap: string): string =>
  bootstrap.replace(SAN_LIST, 'default_validation_context: {}\n');

/** A server sidecar that takes mTLS on `inbound.sock` in the folder; resolves when it has started. */
export async function launchInbound(options: {
  readonly folder: string;
  readonly agentSocket: string;
  readonly serverId: string;
  /** Whom it trusts: the name of a validation context. */
  readonly context: string;
  readonly edit: (bootstrap: string) => string;
}): Promise<RunningEnvoy> {
  const { folder, agentSocket, serverId, context, edit } = options;
  const bootstrap = await renderBootstrap('server-sidecar', {
    'spiffe://example.org/client': 'spiffe://a.test/client',
    'spiffe://example.org/server': serverId,
    '127.0.0.1:9901': adminSocketOf(folder, 'server'),
    '0.0.0.0:8443': path.join(folder, 'inbound.sock'),
    '127.0.0.1:8080': path.join(folder, 'application.sock'),
    '/run/trustplane/agent.sock': agentSocket,
  });
  const edited = edit(bootstrap.replace('name: ROOTCA', `name: "${context}"`));
  const envoy = await launchEnvoy({ folder, name: 'server', bootstrap: edited });
  await envoy.waitStarted();
  return envoy;
}

/** Whether the inbound Envoy of the folder lets a caller with that leaf in. */
export async function isLetIn(folder: string, { certificate, key }: Shown): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect({
      path: path.join(folder, 'inbound.sock'),
      cert: encodePem('CERTIFICATE', certificate.der),
      key: encodePem('PRIVATE KEY', key),
      rejectUnauthorized: false,
    });
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: test\r\n\r\n'));
    socket.on('data', () => {
      resolve(true);
      socket.destroy();
    });
    socket.on('error', () => resolve(false));
    socket.on('close', () => resolve(false));
  });
}

/** SDS of updates that the test publishes, and a server sidecar that takes them. */
export class SdsGround {
  readonly folder: RunFolder = createRunFolder();
  readonly log: Log;
  source: FakeWorkloadSource<PeerProcess> = new FakeWorkloadSource(textUpdate([]));
  #metrics: Metrics = createMetrics();
  #server: UnixServer | undefined;
  #envoy: RunningEnvoy | undefined;

  private constructor(log: Log) {
    this.log = log;
  }

  static async open(log: Log = silentLog): Promise<SdsGround> {
    const ground = new SdsGround(log);
    await ground.serve();
    return ground;
  }

  async serve(): Promise<void> {
    this.#metrics = createMetrics();
    const common = { log: this.log, metrics: this.#metrics };
    const secrets = createSecretType({
      ...common,
      names: defaultSdsNames,
      disableSpiffeCertValidation: false,
      crls: true,
      unmatchableCa,
    });
    const sds = createSds(secrets, { ...common, source: this.source, clock: systemClock });
    this.#server = await serveUnix({
      path: path.join(this.folder.path, 'agent.sock'),
      mode: 0o600,
      services: [sds],
      ...common,
    });
  }

  /** The agent goes away, and knows nothing when it is back. */
  async restart(): Promise<void> {
    await this.#server?.close(0);
    this.source = new FakeWorkloadSource(textUpdate([]));
    await this.serve();
  }

  async close(): Promise<void> {
    await this.#envoy?.stop();
    await this.#server?.close(0);
    await this.folder.remove();
  }

  publish(...update: Parameters<typeof textUpdate>): WorkloadUpdate {
    const next = textUpdate(...update);
    this.source.publish(next);
    return next;
  }

  /** The server sidecar as it is shipped, with `context` for `ROOTCA` and changed by `edit`. */
  async launch(
    edit: (bootstrap: string) => string,
    context: string = 'ALL',
  ): Promise<RunningEnvoy> {
    const agentSocket = path.join(this.folder.path, 'agent.sock');
    const place = { folder: this.folder.path, agentSocket, serverId: SERVER_ID };
    this.#envoy = await launchInbound({ ...place, context, edit });
    return this.#envoy;
  }

  /** Whether Envoy lets a caller with that leaf in. */
  async isLetIn(leaf: Shown): Promise<boolean> {
    return await isLetIn(this.folder.path, leaf);
  }

  /** Waits until Envoy has taken `count` updates of the secret. */
  async takes(name: string, count: number): Promise<void> {
    const pattern = `^sds.${name.replace('://', '_')}.update_success$`;
    await eventually(`Envoy takes update ${count} of ${name}`, async () => {
      const [taken] = ((await this.#envoy?.stats(pattern)) ?? new Map()).values();
      return taken === count ? taken : undefined;
    });
  }

  async metric(name: string): Promise<number> {
    const text = await this.#metrics.render();
    const line = text.split('\n').find((each) => each.startsWith(`${name} `));
    return Number(line?.split(' ').at(-1) ?? 0);
  }
}
