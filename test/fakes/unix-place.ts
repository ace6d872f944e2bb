import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientDuplexStream } from '@grpc/grpc-js';
import { createMetrics, type Metrics, silentLog } from '../../src/ops/index.ts';
import {
  dialUnix,
  serveUnix,
  type UnixServer,
  type UnixServerOptions,
} from '../../src/wire/index.ts';
import { peers } from '../../src/wire/peers.ts';
import { echoMethods, echoService } from './echo-service.ts';
import { settle } from './fake-clock.ts';

/** A real server on a real socket in a folder of its own, and clients of it. */
export class UnixPlace {
  readonly metrics: Metrics = createMetrics();
  readonly folder: string;
  readonly path: string;
  readonly #cleanUps: (() => unknown)[] = [];

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'unix-server-'));
    chmodSync(this.folder, 0o755);
    this.path = join(this.folder, 'agent.sock');
  }

  defer(cleanUp: () => unknown): void {
    this.#cleanUps.push(cleanUp);
  }

  /** Closes what was opened, and waits until no connection is left. */
  async close(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
    await until(() => peers.size === 0);
    rmSync(this.folder, { recursive: true });
  }

  async serve(options: Partial<UnixServerOptions> = {}): Promise<UnixServer> {
    const server = await serveUnix({
      path: this.path,
      mode: 0o666,
      services: [echoService()],
      log: silentLog,
      metrics: this.metrics,
      ...options,
    });
    this.defer(() => server.close(0));
    return server;
  }

  /** A client with a connection of its own. */
  dial(): Client {
    const { target, credentials, options } = dialUnix(this.path);
    const own = {
      ...options,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_send_message_length': -1,
    };
    const client = new Client(target, credentials, own);
    this.defer(() => client.close());
    return client;
  }

  async openSocket(): Promise<Socket> {
    const socket = connect(this.path);
    this.defer(() => socket.destroy());
    await once(socket, 'connect');
    return socket;
  }

  async connections(): Promise<number> {
    return this.#figure('trustplane_wire_connections{socket="agent.sock"}');
  }

  async refused(reason: string): Promise<number> {
    const name = 'trustplane_wire_connections_refused_total';
    return this.#figure(`${name}{socket="agent.sock",reason="${reason}"}`);
  }

  async #figure(name: string): Promise<number> {
    const lines = (await this.metrics.render()).split('\n');
    return Number(lines.find((line) => line.startsWith(name))?.slice(name.length));
  }
}

/** Sends bytes as they are and resolves with the bytes of the answer. */
export function call(client: Client, method: string, bytes: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const identity = (value: Buffer): Buffer => value;
    client.makeUnaryRequest(method, identity, identity, Buffer.from(bytes), (error, response) =>
      error === null ? resolve(response ?? Buffer.alloc(0)) : reject(error),
    );
  });
}

export async function echo(client: Client, text = 'hello'): Promise<string> {
  return String(await call(client, echoMethods.unary.path, Buffer.from(text)));
}

export function openStream(client: Client): ClientDuplexStream<Buffer, Buffer> {
  const { path, requestSerialize, responseDeserialize } = echoMethods.stream;
  return client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
}

/** How many pidfds this process has open. */
export function countPidfds(): number {
  const links = readdirSync('/proc/self/fd').map((descriptor) => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`);
    } catch {
      return '';
    }
  });
  return links.filter((link) => link.includes('pidfd')).length;
}

/** Resolves when `holds` does; looks after each turn of the event loop. */
export async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    if (holds()) return;
    await settle();
  }
  throw new Error('it did not come about');
}
