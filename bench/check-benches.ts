import path from 'node:path';
import { type CheckGround, makeCheckGround } from './check-ground.ts';
import type { LoadOrder, LoadReport } from './check-load.ts';
import { Child } from './child.ts';
import { asRatio, type Benchmark, median } from './measurement.ts';
import { cpuSecondsOf } from './process-cpu.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const ROUNDS = 9;
const WARM_UP = { kind: 'throughput', checks: 30_000, inFlight: 16 } as const;
const BUSY = { kind: 'throughput', checks: 15_000, inFlight: 16 } as const;
const OFFERED = { kind: 'offered', checks: 6_000, perSecond: 2_000 } as const;
const FEW = 10;
const MANY = 100_000;
const BAR = 0.6;
const MANY_BAR = 0.8;
const LOADER_BAR = 1.7;
const P99_BAR = 1.5;

const [ratioOfFew, ratioOfSome, ratioOfMany] = [FEW, 1_000, MANY].map(handlerRatio);

/** Checks per second against the same transport that answers a constant without decoding. */
function handlerRatio(rules: number): Benchmark {
  const name = `check_handler_ratio_${rules}`;
  return {
    name,
    about: `checks/s with ${rules} rules at 16 in flight against the constant answer, by turns, median of ${ROUNDS}`,
    run: async (report) => {
      let micros: readonly number[] = [];
      const rates = await withServers(rules, ['trustplane', 'constant'], async (servers) => {
        const measured = await byTurns(
          servers,
          async (server) => (await server.load(BUSY)).perSecond,
        );
        micros = servers.map((server) => server.microsPerCheck());
        return measured;
      });
      const [own = 0, constant = 1] = rates.map(median);
      const [ownCpu = 0, constantCpu = 0] = micros;
      report(
        `${own.toFixed(0)}/s, constant ${constant.toFixed(0)}/s; CPU of each check ${ownCpu.toFixed(0)} µs, constant ${constantCpu.toFixed(0)} µs`,
      );
      return asRatio(name, own / constant, { kind: 'at-least', ratio: BAR });
    },
  };
}

/** The same with very many rules against few. */
const manyAgainstFew: Benchmark = {
  name: 'check_handler_many_to_few',
  about: `check_handler_ratio with ${MANY} rules against that with ${FEW}, by turns, median of ${ROUNDS}`,
  run: async (report) => {
    const rates = await withTemporaryFolder(async (folder) => {
      const servers = [
        await Server.start(path.join(folder, 'many'), 'trustplane', await makeCheckGround(MANY)),
        await Server.start(path.join(folder, 'few'), 'trustplane', await makeCheckGround(FEW)),
      ];
      return await using(
        servers,
        async () => await byTurns(servers, async (server) => (await server.load(BUSY)).perSecond),
      );
    });
    const [many = 0, few = 1] = rates.map(median);
    report(`${many.toFixed(0)}/s with ${MANY} rules, ${few.toFixed(0)}/s with ${FEW}`);
    return asRatio('check_handler_many_to_few', many / few, { kind: 'at-least', ratio: MANY_BAR });
  },
};

const againstLoader: Benchmark = {
  name: 'check_vs_grpcjs_loader',
  about: `checks per CPU-second against grpc-js with proto-loader and the same engine, by turns, median of ${ROUNDS}`,
  run: async (report) => {
    const rates = await withServers(
      1_000,
      ['trustplane', 'loader'],
      async (servers) =>
        await byTurns(servers, async (server) => {
          const before = server.cpuSeconds();
          await server.load(BUSY);
          return BUSY.checks / (server.cpuSeconds() - before);
        }),
    );
    const [own = 0, loader = 1] = rates.map(median);
    report(`${own.toFixed(0)} per CPU-second, with the loader ${loader.toFixed(0)}`);
    return asRatio('check_vs_grpcjs_loader', own / loader, { kind: 'at-least', ratio: LOADER_BAR });
  },
};

const p99At2000: Benchmark = {
  name: 'check_p99_ratio_at_2000',
  about: `p99 of checks at 2,000/s offered, warm, against the constant answer's, by turns, median of ${ROUNDS}`,
  run: async (report) => {
    const times = await withServers(
      1_000,
      ['trustplane', 'constant'],
      async (servers) =>
        await byTurns(servers, async (server) => (await server.load(OFFERED)).p99Ms),
    );
    const [own = 1, constant = 1] = times.map(median);
    report(`${own.toFixed(3)} ms, constant ${constant.toFixed(3)} ms`);
    return asRatio('check_p99_ratio_at_2000', own / constant, { kind: 'at-most', ratio: P99_BAR });
  },
};

export const checkBenches: readonly Benchmark[] = [
  ...[ratioOfFew, ratioOfSome, ratioOfMany].filter((benchmark) => benchmark !== undefined),
  manyAgainstFew,
  againstLoader,
  p99At2000,
];

async function withServers<T>(
  rules: number,
  kinds: readonly string[],
  measure: (servers: readonly Server[]) => Promise<T>,
): Promise<T> {
  return await withTemporaryFolder(async (folder) => {
    const ground = await makeCheckGround(rules);
    const servers: Server[] = [];
    for (const kind of kinds)
      servers.push(await Server.start(path.join(folder, kind), kind, ground));
    return await using(servers, async () => await measure(servers));
  });
}

async function using<T>(servers: readonly Server[], measure: () => Promise<T>): Promise<T> {
  try {
    return await measure();
  } finally {
    for (const server of servers) server.stop();
  }
}

/** What is measured of each server, round by round. */
async function byTurns(
  servers: readonly Server[],
  measure: (server: Server) => Promise<number>,
): Promise<readonly number[][]> {
  for (const server of servers) await server.load(WARM_UP);
  const measured: number[][] = servers.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, server] of servers.entries()) measured[index]?.push(await measure(server));
  }
  return measured;
}

/** A server of checks and who asks it, each a process. */
class Server {
  readonly #server: Child;
  readonly #client: Child;
  /** Since it was warm. */
  #checks = 0;
  #cpuSeconds = 0;

  private constructor(server: Child, client: Child) {
    this.#server = server;
    this.#client = client;
  }

  static async start(socket: string, kind: string, ground: CheckGround): Promise<Server> {
    const server = new Child(new URL('check-server.ts', import.meta.url), socket, kind);
    await server.ask(ground);
    const client = new Child(new URL('check-load.ts', import.meta.url), socket);
    await client.ask(ground.requests);
    return new Server(server, client);
  }

  async load(order: LoadOrder): Promise<LoadReport> {
    const before = this.cpuSeconds();
    const report: unknown = await this.#client.ask(order);
    if (!isReport(report)) throw new Error('no report came');
    if (order !== WARM_UP) {
      this.#checks += order.checks;
      this.#cpuSeconds += this.cpuSeconds() - before;
    }
    return report;
  }

  /** Of the server's CPU. */
  microsPerCheck(): number {
    return (this.#cpuSeconds / this.#checks) * 1e6;
  }

  cpuSeconds(): number {
    return cpuSecondsOf(this.#server.pid);
  }

  stop(): void {
    this.#client.stop();
    this.#server.stop();
  }
}

function isReport(value: unknown): value is LoadReport {
  return typeof value === 'object' && value !== null && 'p99Ms' in value;
}
