import { type ChildProcess, fork } from 'node:child_process';
import { on } from 'node:events';
import { join } from 'node:path';
import { against, asRatio, type Benchmark, median } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const STREAMS = 10_000;
/** A process may have 20,000 files open; clients share the load of decoding. */
const CLIENT_PROCESSES = 4;
const ROUNDS = 9;
const WARM_UP_ROUNDS = 3;
const LIMIT_KIB = 48;
const RATIO = 2;

export type ServerOrder =
  | { readonly kind: 'sds' | 'bare'; readonly round: number }
  | { readonly kind: 'memory' };
export type ServerReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'memory'; readonly rssBytes: number }
  /** Nanoseconds on the clock all processes share. */
  | { readonly kind: 'triggered'; readonly at: string };
export interface ClientOrder {
  readonly kind: 'sds' | 'bare';
}
export type ClientReport =
  | { readonly kind: 'open' }
  | { readonly kind: 'received'; readonly at: string };

type Server = Child<ServerOrder, ServerReport>;
type Receiver = Child<ClientOrder, ClientReport>;

interface Fanout {
  readonly idleKib: number;
  readonly sdsMs: number;
  readonly bareMs: number;
}

/** What 10,000 idle streams cost the server. */
export const sdsStreamMemory: Benchmark = {
  name: 'sds_stream_kib',
  about: `server memory per SDS stream, ${STREAMS} streams on as many connections, each served once`,
  run: async (report) =>
    against(sdsStreamMemory.name, (await measureOnce(report)).idleKib, 'KiB', LIMIT_KIB, 'at-most'),
};

/** One update to all of them, against writing one buffer to as many bare grpc-js streams. */
export const sdsFanout: Benchmark = {
  name: 'sds_fanout_ratio',
  about: `update triggered → the last of ${STREAMS} streams has it, against a bare grpc-js broadcast to the same clients`,
  async run(report) {
    const { sdsMs, bareMs } = await measureOnce(report);
    return asRatio(sdsFanout.name, sdsMs / bareMs, { kind: 'at-most', ratio: RATIO });
  },
};

let measured: Promise<Fanout> | undefined;

/** Both figures come of one run. */
function measureOnce(report: (progress: string) => void): Promise<Fanout> {
  measured ??= withTemporaryFolder((folder) => measure(join(folder, 'sds.sock'), report));
  return measured;
}

async function measure(path: string, report: (progress: string) => void): Promise<Fanout> {
  const server: Server = new Child(new URL('./sds-fanout-server.ts', import.meta.url), path);
  const clients: Receiver[] = [];
  try {
    await server.next();
    const before = await memoryOf(server);
    for (let i = 0; i < CLIENT_PROCESSES; i++) {
      const file = new URL('./sds-fanout-client.ts', import.meta.url);
      clients.push(new Child(file, path, String(STREAMS / CLIENT_PROCESSES)));
    }
    await openStreams(clients, 'sds');
    const idle = await kibPerStream(server, before);
    const rounds = { sds: [] as number[], bare: [] as number[] };
    for (let round = 1; round <= WARM_UP_ROUNDS; round++) await push(server, clients, 'sds', round);
    const pushed = await kibPerStream(server, before);
    report(`${idle.toFixed(1)} KiB a stream, ${pushed.toFixed(1)} after ${WARM_UP_ROUNDS} pushes`);
    await openStreams(clients, 'bare');
    for (let round = 1; round <= ROUNDS + WARM_UP_ROUNDS; round++) {
      for (const kind of ['bare', 'sds'] as const) {
        const ms = await push(server, clients, kind, WARM_UP_ROUNDS + round);
        if (round > WARM_UP_ROUNDS) rounds[kind].push(ms);
      }
    }
    const result = { idleKib: idle, sdsMs: median(rounds.sds), bareMs: median(rounds.bare) };
    report(`SDS ${result.sdsMs.toFixed(0)} ms, bare grpc-js ${result.bareMs.toFixed(0)} ms`);
    return result;
  } finally {
    for (const child of [...clients, server]) child.kill();
  }
}

/** Milliseconds until the last stream has it. */
async function push(
  server: Server,
  clients: readonly Receiver[],
  kind: 'sds' | 'bare',
  round: number,
): Promise<number> {
  const last = Promise.all(clients.map((client) => client.next()));
  const triggered = await ask(server, { kind, round });
  const began = triggered.kind === 'triggered' ? BigInt(triggered.at) : 0n;
  const ends = (await last).map((end) => (end.kind === 'received' ? BigInt(end.at) : 0n));
  const end = ends.reduce((a, b) => (a > b ? a : b));
  return Number(end - began) / 1e6;
}

async function openStreams(clients: readonly Receiver[], kind: ClientOrder['kind']): Promise<void> {
  await Promise.all(
    clients.map(async (client) => {
      client.send({ kind });
      while ((await client.next()).kind !== 'open');
    }),
  );
}

async function kibPerStream(server: Server, before: number): Promise<number> {
  return ((await memoryOf(server)) - before) / 1024 / STREAMS;
}

async function memoryOf(server: Server): Promise<number> {
  const answer = await ask(server, { kind: 'memory' });
  return answer.kind === 'memory' ? answer.rssBytes : 0;
}

function ask(server: Server, order: ServerOrder): Promise<ServerReport> {
  server.send(order);
  return server.next();
}

/** The messages of a child, none lost however close they come. */
class Child<Order extends object, Report> {
  readonly #process: ChildProcess;
  readonly #messages: AsyncIterator<Report[], undefined>;

  constructor(file: URL, ...args: string[]) {
    this.#process = fork(file, args, { stdio: ['ignore', 2, 2, 'ipc'] });
    this.#messages = on(this.#process, 'message', { close: ['exit'] });
  }

  send(order: Order): void {
    this.#process.send(order);
  }

  async next(): Promise<Report> {
    const message = (await this.#messages.next()).value?.[0];
    if (message === undefined) throw new Error('a process of the measurement has died');
    return message;
  }

  kill(): void {
    this.#process.kill();
  }
}
