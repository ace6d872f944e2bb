import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { Client } from '@grpc/grpc-js';
import { createMetrics, type Metrics, silentLog } from '../../src/ops/index.ts';
import { type Bundle, encodePem, SpiffeId } from '../../src/spiffe/index.ts';
import {
  type Caller,
  callerOf,
  dialTls,
  type GrpcService,
  type GrpcTlsServer,
  serveTls,
  type TlsDial,
  type TlsDialOptions,
  type TlsIdentity,
  type TlsServerOptions,
  toServiceError,
} from '../../src/wire/index.ts';
import { tlsPeers } from '../../src/wire/tls-peers.ts';
import { echoService } from './echo-service.ts';
import { FakeClock } from './fake-clock.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  type TestCertificateOptions,
  testNow,
} from './test-certificates.ts';
import { until } from './unix-place.ts';

export const SERVER_ID = 'spiffe://a.test/spire/server';
export const AGENT_ID = 'spiffe://a.test/spire/agent/x/1';

/** A TLS server on a port of the loopback interface, the authority behind it, and clients of it. */
export class TlsPlace {
  readonly clock: FakeClock = new FakeClock(testNow);
  readonly metrics: Metrics = createMetrics();
  readonly authority: TestCertificate;
  /** Replaced by tests; the server reads them for each connection or call. */
  bundle: Bundle;
  identity: TlsIdentity;
  port = 0;
  readonly #cleanUps: (() => unknown)[] = [];

  private constructor(authority: TestCertificate, identity: TlsIdentity) {
    this.authority = authority;
    this.bundle = bundleOf('a.test', authority);
    this.identity = identity;
  }

  static async create(): Promise<TlsPlace> {
    const authority = await makeAuthority();
    return new TlsPlace(authority, await makeIdentity({ issuer: authority, uris: [SERVER_ID] }));
  }

  /** An SVID of this place's authority, by default of an agent. */
  async issue(options: TestCertificateOptions = {}): Promise<TlsIdentity> {
    return await makeIdentity({ issuer: this.authority, uris: [AGENT_ID], ...options });
  }

  defer(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  /** Closes what was opened, and waits until no connection is left. */
  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
    await until(() => tlsPeers.size === 0);
  }

  async serve(options: Partial<TlsServerOptions> = {}): Promise<GrpcTlsServer> {
    const server = await serveTls({
      host: '127.0.0.1',
      port: 0,
      identity: () => this.identity,
      trust: () => this.bundle,
      services: [namingService()],
      log: silentLog,
      metrics: this.metrics,
      clock: this.clock,
      ...options,
    });
    this.port = server.port;
    this.defer(() => server.close(0));
    return server;
  }

  dialing(options: Partial<TlsDialOptions> = {}): TlsDial {
    return dialTls({
      host: '127.0.0.1',
      port: this.port,
      trust: { serverId: SpiffeId.parse(SERVER_ID), bundle: () => this.bundle },
      clock: this.clock,
      ...options,
    });
  }

  dial(options: Partial<TlsDialOptions> = {}): Client {
    return this.open(this.dialing(options));
  }

  open({ target, credentials, options }: TlsDial): Client {
    const client = new Client(target, credentials, options);
    this.defer(() => client.close());
    return client;
  }

  /** A connection of Node's own TLS, past the handshake. */
  async openTls(options: ConnectionOptions = {}): Promise<TLSSocket> {
    const socket = this.startTls(options);
    await once(socket, 'secureConnect');
    return socket;
  }

  startTls(options: ConnectionOptions = {}): TLSSocket {
    const common = { host: '127.0.0.1', port: this.port, rejectUnauthorized: false };
    const socket = connectTls({ ...common, ALPNProtocols: ['h2'], ...options });
    this.defer(() => socket.destroy());
    socket.resume();
    return socket;
  }

  async openTcp(): Promise<Socket> {
    const socket = connectTcp(this.port, '127.0.0.1');
    this.defer(() => socket.destroy());
    socket.on('error', () => {});
    socket.resume();
    await once(socket, 'connect');
    return socket;
  }

  async connections(): Promise<number> {
    return await this.#figure('trustplane_wire_connections{socket="tcp"}');
  }

  async refused(reason: string): Promise<number> {
    const name = 'trustplane_wire_connections_refused_total';
    return await this.#figure(`${name}{socket="tcp",reason="${reason}"}`);
  }

  async #figure(name: string): Promise<number> {
    const lines = (await this.metrics.render()).split('\n');
    return Number(lines.find((line) => line.startsWith(name))?.slice(name.length));
  }
}

export async function makeIdentity(options: TestCertificateOptions): Promise<TlsIdentity> {
  const certificate = await makeCertificate(options);
  const key = await webcrypto.subtle.exportKey('pkcs8', certificate.keys.privateKey);
  return { certificateChain: [certificate.der], privateKey: new Uint8Array(key) };
}

interface PemIdentity {
  readonly cert: string;
  readonly key: string;
}

/** An identity as Node's TLS takes it. */
export function asPem({ certificateChain, privateKey }: TlsIdentity): PemIdentity {
  const cert = certificateChain.map((der) => encodePem('CERTIFICATE', der)).join('');
  return { cert, key: encodePem('PRIVATE KEY', privateKey) };
}

/** Answers each call, and each message of a stream, with who the caller is now. */
function namingService(): GrpcService {
  return echoService({
    unary: (call, respond) => respond(null, Buffer.from(nameOf(callerOf(call)))),
    stream(call) {
      call.on('end', () => call.end());
      call.on('data', () => {
        try {
          call.write(Buffer.from(nameOf(callerOf(call))));
        } catch (error) {
          call.emit('error', toServiceError(error));
        }
      });
    },
  });
}

function nameOf(caller: Caller): string {
  if (caller.kind === 'svid') return `${caller.svid.spiffeId.toString()} ${caller.serialNumber}`;
  return caller.kind === 'local' ? `process ${caller.peer.pid}` : `anonymous ${caller.address}`;
}
