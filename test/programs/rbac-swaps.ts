import { Agent } from 'node:http';
import type { RbacMesh } from './open-rbac-mesh.ts';

/** What came of swaps of rules under load. */
export interface SwapReport {
  /** Of each swap: from its beginning to the answer of the first request that is decided by it. */
  readonly timesMs: readonly number[];
  /** Answers to the load. */
  readonly answers: number;
  /** Those begun after a swap was acknowledged and answered before the next began. */
  readonly settled: number;
  /** Answers that the rules in force do not come to, as in `GET /never 200`, and requests without one. */
  readonly wrong: readonly string[];
}

const CLIENTS = 8;
/** Answered between two swaps. */
const SETTLED_BETWEEN = 100;
const ALWAYS = 'GET /always';
const NEVER = 'GET /never';

/** So many rules, two of which matter: one stays, the other allows another path in every other version. */
export function swappedRules(version: number, count: number): readonly object[] {
  const others = Array.from({ length: count - 2 }, (_, at) => ({
    from: [`spiffe://example.org/ns/team-${at % 20}/sa/${at % 10 === 0 ? `*-${at}` : `app-${at}`}`],
    allow: [at % 3 === 0 ? `GET /v1/items/${at}/**` : `GET /v1/items/${at}`],
  }));
  return [{ allow: [ALWAYS] }, { allow: [flipping(version)] }, ...others];
}

/**
 * `swap` resolves when the version is in force for certain: where nobody says so, when its `first` request was decided.
 * The first version is 1, and 0 is in force.
 */
export async function swapUnderLoad(
  mesh: Pick<RbacMesh, 'ask'>,
  swaps: number,
  swap: (version: number, first: Promise<unknown>) => Promise<void>,
): Promise<SwapReport> {
  const load = new SwapLoad(mesh);
  const timesMs: number[] = [];
  try {
    for (let version = 1; version <= swaps; version++) {
      await load.waitSettled();
      load.begun = version;
      const start = performance.now();
      const first = load.firstBy(version).then(() => timesMs.push(performance.now() - start));
      await swap(version, first);
      load.acknowledged = version;
      await first;
    }
    await load.waitSettled();
  } finally {
    await load.stop();
  }
  return { timesMs, answers: load.answers, settled: load.settled, wrong: load.wrong };
}

function flipping(version: number): string {
  return `GET /flip/${version % 2}`;
}

/** Asks all along, and judges answers by what is in force. */
class SwapLoad {
  /** The version that was begun to be brought, and the one that Envoy has acknowledged. */
  begun = 0;
  acknowledged = 0;
  answers = 0;
  settled = 0;
  readonly wrong: string[] = [];
  readonly #mesh: Pick<RbacMesh, 'ask'>;
  readonly #over = new AbortController();
  readonly #clients: readonly Promise<void>[];
  readonly #onAnswer = new Set<() => void>();

  constructor(mesh: Pick<RbacMesh, 'ask'>) {
    this.#mesh = mesh;
    this.#clients = Array.from({ length: CLIENTS }, async (_, at) => await this.#keepAsking(at));
  }

  /** Resolves when enough more requests were answered by rules that are in force for certain. */
  async waitSettled(): Promise<void> {
    const enough = this.settled + SETTLED_BETWEEN;
    await new Promise<void>((resolve) => {
      const look = (): void => {
        if (this.settled < enough) return;
        this.#onAnswer.delete(look);
        resolve();
      };
      this.#onAnswer.add(look);
    });
  }

  /** Resolves when a request is decided by a version. */
  async firstBy(version: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    while ((await this.#ask(flipping(version), agent)) === 403);
    agent.destroy();
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#clients);
  }

  async #keepAsking(at: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const lines = [ALWAYS, flipping(0), NEVER, flipping(1)];
    for (let count = at; !this.#over.signal.aborted; count++) {
      const line = lines[count % lines.length] ?? ALWAYS;
      const { begun, acknowledged } = this;
      const status = await this.#ask(line, agent);
      const isSettled = begun === acknowledged && begun === this.begun;
      const expected = this.#expected(line, isSettled);
      if (!expected.includes(status)) this.wrong.push(`${line} ${status} by version ${begun}`);
      this.answers++;
      if (isSettled) this.settled++;
      for (const listener of this.#onAnswer) listener();
    }
    agent.destroy();
  }

  #expected(line: string, isSettled: boolean): readonly (number | string)[] {
    if (line === ALWAYS) return [200];
    if (line === NEVER) return [403];
    if (!isSettled) return [200, 403];
    return [line === flipping(this.acknowledged) ? 200 : 403];
  }

  async #ask(line: string, agent: Agent): Promise<number | string> {
    try {
      return (await this.#mesh.ask(line, agent)).status;
    } catch (error) {
      return String(error);
    }
  }
}
