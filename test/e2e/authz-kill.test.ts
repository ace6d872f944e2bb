import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { type AuthorizedMesh, launchAuthorizedMesh } from '../programs/authorized-mesh.ts';
import { eventually } from '../programs/eventually.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';

/** `KILLS=20` for a longer one. */
const KILLS = Number(process.env['KILLS'] ?? 3);
const CLIENTS = 8;
const PAUSE_MS = 2;

interface Answer {
  readonly sentAt: number;
  readonly endedAt: number;
  readonly line: string;
  /** 0: none came. */
  readonly status: number;
}

/** Clients that each keep a connection and ask for what is allowed and what is denied, in turn. */
function startLoad({ ask }: AuthorizedMesh) {
  const answers: Answer[] = [];
  const over = new AbortController();
  const client = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let turn = 0; !over.signal.aborted; turn++) {
      const line = turn % 2 === 0 ? 'GET /a' : 'GET /denied';
      const sentAt = performance.now();
      const status = await ask(line, agent).then(
        (answer) => answer.status,
        () => 0,
      );
      answers.push({ sentAt, endedAt: performance.now(), line, status });
      await delay(PAUSE_MS);
    }
    agent.destroy();
  };
  const clients = Array.from({ length: CLIENTS }, client);
  const stop = async (): Promise<void> => {
    over.abort();
    await Promise.all(clients);
  };
  return { answers, stop };
}

it('lets nobody in while its authorization server is dead, and is back when that is (AUTHZ-13)', async () => {
  const mesh = await launchAuthorizedMesh({ rules: [{ allow: ['GET /a'] }] });
  expect((await mesh.ask('GET /a')).status).toBe(200);
  let { authz } = mesh;
  const load = startLoad(mesh);
  const backMs: number[] = [];
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      const before = load.answers.length;
      await eventually('load', () => load.answers.length > before + 100 || undefined);
      authz.kill('SIGKILL');
      await authz.ended;
      const deadAt = performance.now();
      const dead = load.answers.length;
      // Long enough for every client to be answered by nobody.
      await eventually('answers', () => load.answers.length > dead + 4 * CLIENTS || undefined);
      const startedAt = performance.now();
      authz = mesh.restartAuthz();
      const back = await eventually('an allowed request', () =>
        load.answers.find(({ sentAt, status }) => sentAt > startedAt && status === 200),
      );
      backMs.push(back.endedAt - startedAt);
      const between = load.answers.filter(
        ({ sentAt, endedAt }) => sentAt > deadAt && endedAt < startedAt,
      );
      expect(between.length).toBeGreaterThan(CLIENTS);
      expect(new Set(between.map(({ status }) => status))).toEqual(new Set([503]));
    }
  } finally {
    await load.stop();
  }
  const statuses = (line: string) =>
    new Set(load.answers.filter((answer) => answer.line === line).map(({ status }) => status));
  for (const status of statuses('GET /a')) expect([200, 403, 503]).toContain(status);
  for (const status of statuses('GET /denied')) expect([403, 503]).toContain(status);
  const shown = backMs.map((ms) => ms.toFixed(0)).join(', ');
  process.stderr.write(
    `authz kill -9: ${load.answers.length} requests, back ${shown} ms after its start\n`,
  );
});

it('lets nobody in who was revoked while it was dead', async () => {
  const mesh = await launchAuthorizedMesh({ rules: [{ allow: ['GET /a'] }] });
  expect((await mesh.ask('GET /a')).status).toBe(200);
  const load = startLoad(mesh);
  try {
    await eventually('load', () => load.answers.length > 50 || undefined);
    mesh.authz.kill('SIGKILL');
    await mesh.authz.ended;
    const deadAt = performance.now();
    const where = ['--admin-socket', mesh.trustplane.adminSocket];
    const deleted = await runTrustplane('entry', 'delete', mesh.clientEntry, ...where);
    expect(deleted).toMatchObject({ code: 0 });
    mesh.restartAuthz();
    // Answered by it again, for a while: from its first answer on it knows.
    const decided = () =>
      load.answers.filter(({ sentAt, status }) => sentAt > deadAt && status === 403);
    await eventually('answers', () => decided().length > 4 * CLIENTS || undefined);
    const after = load.answers.filter(({ sentAt }) => sentAt > deadAt);
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([503, 403]));
  } finally {
    await load.stop();
  }
});
