import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { eventually } from './eventually.ts';
import type { AuthorizedMesh } from './open-authorized-mesh.ts';

const CLIENTS = 8;
const PAUSE_MS = 2;

export interface Answer {
  readonly sentAt: number;
  readonly endedAt: number;
  readonly line: string;
  /** 0: none came. */
  readonly status: number;
}

/** Clients that each keep a connection and ask for `GET /a` and `GET /denied` in turn. */
export class AuthzLoad {
  readonly answers: Answer[] = [];
  readonly #mesh: AuthorizedMesh;
  readonly #over = new AbortController();
  readonly #clients: readonly Promise<void>[];

  constructor(mesh: AuthorizedMesh) {
    this.#mesh = mesh;
    this.#clients = Array.from({ length: CLIENTS }, async () => await this.#ask());
  }

  async stop(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#clients);
  }

  /** Resolves when so many more were answered to each client. */
  async flows(perClient: number): Promise<void> {
    const enough = this.answers.length + perClient * CLIENTS;
    await eventually('answers', () => this.answers.length > enough || undefined, { everyMs: 2 });
  }

  async #ask(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !this.#over.signal.aborted; turn++) {
      const line = turn % 2 === 0 ? 'GET /a' : 'GET /denied';
      const sentAt = performance.now();
      const status = await this.#mesh.ask(line, agent).then(
        (answer) => answer.status,
        () => 0,
      );
      this.answers.push({ sentAt, endedAt: performance.now(), line, status });
      await delay(PAUSE_MS);
    }
    agent.destroy();
  }
}

/** What one kill came to. */
export interface Kill {
  /** From the new start to the end of the first request that was allowed again. */
  readonly backMs: number;
  /** What was asked and answered while there was no authorization server. */
  readonly between: readonly Answer[];
}

/** Kills the mesh's authorization server under load, again and again, and starts it anew each time. */
export async function killAuthz(
  mesh: AuthorizedMesh,
  load: AuthzLoad,
  kills: number,
): Promise<readonly Kill[]> {
  const found: Kill[] = [];
  let { authz } = mesh;
  for (let kill = 0; kill < kills; kill++) {
    await load.flows(12);
    authz.kill('SIGKILL');
    await authz.ended;
    const deadAt = performance.now();
    // Long enough for every client to be answered by nobody.
    await load.flows(4);
    const startedAt = performance.now();
    authz = mesh.restartAuthz();
    const back = await eventually('an allowed request', () =>
      load.answers.find(({ sentAt, status }) => sentAt > startedAt && status === 200),
    );
    const between = load.answers.filter(
      ({ sentAt, endedAt }) => sentAt > deadAt && endedAt < startedAt,
    );
    found.push({ backMs: back.endedAt - startedAt, between });
  }
  return found;
}
