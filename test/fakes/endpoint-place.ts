import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import {
  type BundleEndpointOptions,
  type BundleEndpointServer,
  serveBundleEndpoint,
} from '../../src/federation/endpoint/index.ts';
import { createMetrics, type Metrics, silentLog } from '../../src/ops/index.ts';
import type { TlsIdentity } from '../../src/wire/index.ts';
import { eventually } from '../programs/eventually.ts';
import { FakeClock } from './fake-clock.ts';
import { FakeTrustMap } from './fake-trust-map.ts';
import { bundleOf, makeAuthority, type TestCertificate, testNow } from './test-certificates.ts';
import { makeIdentity, SERVER_ID } from './tls-place.ts';

export interface EndpointAnswer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A bundle endpoint of a.test on a port of the loopback interface, and clients of it. */
export class EndpointPlace {
  readonly clock: FakeClock = new FakeClock(testNow);
  readonly metrics: Metrics = createMetrics();
  readonly trust: FakeTrustMap;
  readonly authority: TestCertificate;
  /** Replaced by tests. */
  identity: TlsIdentity;
  port = 0;
  readonly #cleanUps: (() => unknown)[] = [];

  private constructor(authority: TestCertificate, identity: TlsIdentity) {
    this.authority = authority;
    this.identity = identity;
    this.trust = new FakeTrustMap({
      ...bundleOf('a.test', authority),
      sequenceNumber: 1n,
      refreshHintSeconds: 60,
    });
  }

  static async create(): Promise<EndpointPlace> {
    const authority = await makeAuthority();
    const identity = await makeIdentity({ issuer: authority, uris: [SERVER_ID] });
    return new EndpointPlace(authority, identity);
  }

  defer(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  async serve(options: Partial<BundleEndpointOptions> = {}): Promise<BundleEndpointServer> {
    const server = await serveBundleEndpoint({
      host: '127.0.0.1',
      port: 0,
      path: '/',
      leaveOutWitKeys: false,
      bundleMap: { path: '/map', envoyPath: '/envoy' },
      trust: this.trust,
      identity: () => this.identity,
      clock: this.clock,
      log: silentLog,
      metrics: this.metrics,
      ...options,
    });
    this.port = server.port;
    this.defer(() => server.close(0));
    return server;
  }

  /** Asks on a connection of its own, unless an agent is given, whoever the server is. */
  async ask(path = '/', options: RequestOptions = {}): Promise<EndpointAnswer> {
    const asked = request({
      host: '127.0.0.1',
      port: this.port,
      path,
      rejectUnauthorized: false,
      agent: false,
      ...options,
    });
    const answered = once(asked, 'response');
    asked.end();
    const [response]: IncomingMessage[] = await answered;
    if (response === undefined) throw new Error('no response');
    const chunks: Uint8Array[] = [];
    for await (const chunk of response) chunks.push(Buffer.from(chunk));
    const { statusCode: status, headers } = response;
    return { status, headers, body: Buffer.concat(chunks).toString() };
  }

  /** Past the handshake. */
  async openTls(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const common = { host: '127.0.0.1', port: this.port, rejectUnauthorized: false };
    const socket = connectTls({ ...common, ...options });
    this.defer(() => socket.destroy());
    await once(socket, 'secureConnect');
    return socket;
  }

  async openTcp(): Promise<Socket> {
    const socket = connect(this.port, '127.0.0.1');
    this.defer(() => socket.destroy());
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    return socket;
  }

  /** Everything that bytes sent on a connection of their own are answered with, until it is closed. */
  async exchange(text: string | Uint8Array): Promise<string> {
    const socket = await this.openTls();
    const chunks: Uint8Array[] = [];
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.write(text);
    await closed(socket);
    return Buffer.concat(chunks).toString('latin1');
  }

  async connections(): Promise<number> {
    return await this.figure('trustplane_wire_connections{socket="bundle-endpoint"}');
  }

  async refused(reason: string): Promise<number> {
    const name = 'trustplane_wire_connections_refused_total';
    return await this.figure(`${name}{socket="bundle-endpoint",reason="${reason}"}`);
  }

  async answers(status: number): Promise<number> {
    return await this.figure(`trustplane_federation_endpoint_answers_total{status="${status}"}`);
  }

  /** Of a metric; NaN when there is none. */
  async figure(name: string): Promise<number> {
    const lines = (await this.metrics.render()).split('\n');
    return Number(lines.find((line) => line.startsWith(name))?.slice(name.length));
  }
}

/** Resolves when the other end has closed. */
export async function closed(socket: Socket): Promise<void> {
  socket.on('error', () => {}).resume();
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** For `expect.poll`, where other things run too. */
export const PATIENCE: { readonly timeout: number; readonly interval: number } = {
  timeout: 30_000,
  interval: 5,
};

/** Resolves when it holds: other than turns of the event loop, time is left for disks and networks that are slow. */
export async function until(holds: () => boolean): Promise<void> {
  await eventually(holds.toString(), holds, { timeoutMs: 30_000, everyMs: 1 });
}
