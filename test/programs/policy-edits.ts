import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { AuthorizedMesh } from './open-authorized-mesh.ts';

/** What came of edits of a policy under load. */
export interface EditReport {
  /** Of each edit: from the file's saving to the answer of the first request that is decided by it. */
  readonly timesMs: readonly number[];
  /** Answers to the load. */
  readonly answers: number;
  /** Answers that no policy there was comes to, as in `GET /never 200`. */
  readonly wrong: readonly string[];
}

type EditedMesh = Pick<AuthorizedMesh, 'ask' | 'save'>;

const CLIENTS = 8;
const PAUSE_MS = 2;
/** Who waits for an edit takes little from those who bring it; so much more may be measured. */
const LOOK_MS = 1;
/** Edits come at all times between two looks at the files. */
const MAX_DISTANCE_MS = 60;
/** That nobody may ask for, that everybody may. */
const ALWAYS = 'GET /always';
const NEVER = 'GET /never';

/** The rules after an edit; 0: before the first. `others`: what is there besides and never edited. */
export function rulesOf(edit: number, others: readonly object[] = []): readonly object[] {
  return [{ allow: [ALWAYS, lineOf(edit)] }, ...others];
}

/** Edits the policy so often while clients ask: each time it allows another path, and no more the one before. */
export async function editUnderLoad(
  mesh: EditedMesh,
  edits: number,
  others: readonly object[] = [],
): Promise<EditReport> {
  const wrong: string[] = [];
  const over = new AbortController();
  const load = Array.from(
    { length: CLIENTS },
    async () => await keepAsking(mesh, over.signal, wrong),
  );
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const timesMs: number[] = [];
  try {
    for (let edit = 1; edit <= edits; edit++) {
      await delay((edit * 37) % MAX_DISTANCE_MS);
      await expectStatus(mesh, agent, lineOf(edit), 403, wrong);
      const savedAt = performance.now();
      mesh.save(rulesOf(edit, others));
      while (await isDenied(mesh, agent, lineOf(edit), wrong)) await delay(LOOK_MS);
      timesMs.push(performance.now() - savedAt);
      await expectStatus(mesh, agent, lineOf(edit - 1), 403, wrong);
    }
  } finally {
    over.abort();
    agent.destroy();
  }
  const answers = (await Promise.all(load)).reduce((sum, count) => sum + count, 0);
  return { timesMs, answers, wrong };
}

function lineOf(edit: number): string {
  return `GET /edit/${edit}`;
}

/** Resolves with how many answers came. */
async function keepAsking(mesh: EditedMesh, over: AbortSignal, wrong: string[]): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let answers = 0;
  for (; !over.aborted; answers++) {
    const [line, status] = answers % 2 === 0 ? ([ALWAYS, 200] as const) : ([NEVER, 403] as const);
    await expectStatus(mesh, agent, line, status, wrong);
    await delay(PAUSE_MS);
  }
  agent.destroy();
  return answers;
}

async function isDenied(
  mesh: EditedMesh,
  agent: Agent,
  line: string,
  wrong: string[],
): Promise<boolean> {
  const status = await statusOf(mesh, agent, line);
  if (status !== 200 && status !== 403) wrong.push(`${line} ${status}`);
  return status === 403;
}

async function expectStatus(
  mesh: EditedMesh,
  agent: Agent,
  line: string,
  expected: number,
  wrong: string[],
): Promise<void> {
  const status = await statusOf(mesh, agent, line);
  if (status !== expected) wrong.push(`${line} ${status}`);
}

/** Or why there is none. */
async function statusOf(mesh: EditedMesh, agent: Agent, line: string): Promise<number | string> {
  try {
    return (await mesh.ask(line, agent)).status;
  } catch (error) {
    return String(error);
  }
}
