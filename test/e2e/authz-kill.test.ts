import { expect, it } from 'vitest';
import { launchAuthorizedMesh } from '../programs/authorized-mesh.ts';
import { AuthzLoad, killAuthz } from '../programs/kill-authz.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';

/** `KILLS=20` for a longer one. */
const KILLS = Number(process.env['KILLS'] ?? 3);

it('lets nobody in while its authorization server is dead, and is back when that is (AUTHZ-13)', async () => {
  const mesh = await launchAuthorizedMesh({ rules: [{ allow: ['GET /a'] }] });
  expect((await mesh.ask('GET /a')).status).toBe(200);
  const load = new AuthzLoad(mesh);
  try {
    for (const { between } of await killAuthz(mesh, load, KILLS)) {
      expect(between.length).toBeGreaterThan(8);
      expect(new Set(between.map(({ status }) => status))).toEqual(new Set([503]));
    }
  } finally {
    await load.stop();
  }
  const statuses = (line: string) =>
    new Set(load.answers.filter((answer) => answer.line === line).map(({ status }) => status));
  for (const status of statuses('GET /a')) expect([200, 403, 503]).toContain(status);
  for (const status of statuses('GET /denied')) expect([403, 503]).toContain(status);
});

it('lets nobody in who was revoked while it was dead', async () => {
  const mesh = await launchAuthorizedMesh({ rules: [{ allow: ['GET /a'] }] });
  expect((await mesh.ask('GET /a')).status).toBe(200);
  const load = new AuthzLoad(mesh);
  try {
    await load.flows(6);
    mesh.authz.kill('SIGKILL');
    await mesh.authz.ended;
    const deadAt = performance.now();
    const where = ['--admin-socket', mesh.trustplane.adminSocket];
    const deleted = await runTrustplane('entry', 'delete', mesh.clientEntry, ...where);
    expect(deleted).toMatchObject({ code: 0 });
    await mesh.restartAuthz().ready;
    // From its first answer on it knows.
    await load.flows(4);
    const after = load.answers.filter(({ sentAt }) => sentAt > deadAt);
    expect(new Set(after.map(({ status }) => status))).toEqual(new Set([503, 403]));
  } finally {
    await load.stop();
  }
});
