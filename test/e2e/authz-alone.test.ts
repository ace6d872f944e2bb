import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { policyText } from '../fakes/open-policies.ts';
import { launchAuthorizedMesh } from '../programs/authorized-mesh.ts';
import { eventually } from '../programs/eventually.ts';
import { launchAuthz } from '../programs/launch-authz.ts';
import { launchTrustplane, runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

async function healthOf(socket: string, ...flags: readonly string[]) {
  return await runTrustplane('healthcheck', '--only', 'authz', '--socket', socket, ...flags);
}

describe('an authorization server of its own', () => {
  it('denies at once, on a live connection, whose entry was deleted', async () => {
    const { ask, authz, trustplane, clientEntry } = await launchAuthorizedMesh({
      rules: [{ allow: ['GET /a'] }],
    });
    expect(await healthOf(authz.authzSocket, '--wait', '30s')).toMatchObject({ code: 0 });
    expect((await ask('GET /a')).status).toBe(200);
    expect((await ask('GET /b')).status).toBe(403);
    const where = ['--admin-socket', trustplane.adminSocket];
    expect(await runTrustplane('entry', 'delete', clientEntry, ...where)).toMatchObject({
      code: 0,
    });
    await eventually(
      'the revocation',
      async () => (await ask('GET /a')).status === 403 || undefined,
    );
  });

  it('goes on while the authorities change, and while the agent is dead and back', async () => {
    const { ask, authz, trustplane, restartTrustplane } = await launchAuthorizedMesh({
      rules: [{ allow: ['GET /a'] }],
    });
    expect((await ask('GET /a')).status).toBe(200);
    const where = ['--admin-socket', trustplane.adminSocket];
    const x509 = async (...words: readonly string[]) => {
      const done = await runTrustplane('authority', 'x509', ...words, ...where, '--output', 'json');
      expect(done).toMatchObject({ code: 0 });
      return JSON.parse(done.stdout);
    };
    await x509('prepare');
    const { authorities }: { authorities: { slot: string; authorityId: string }[] } =
      await x509('show');
    const prepared = authorities.find(({ slot }) => slot === 'prepared')?.authorityId ?? '';
    await x509('activate', prepared, '--wait', '30s');
    expect((await ask('GET /a')).status).toBe(200);
    trustplane.kill('SIGKILL');
    await trustplane.ended;
    await authz.line('the agent does not tell what holds');
    expect((await ask('GET /a')).status).toBe(200);
    expect((await ask('POST /a')).status).toBe(403);
    const told = authz.lines.filter((line) => line.includes('the agent tells')).length;
    await restartTrustplane();
    await eventually(
      'the agent',
      () =>
        authz.lines.filter((line) => line.includes('the agent tells')).length > told || undefined,
    );
    expect((await ask('GET /a')).status).toBe(200);
  });

  it('serves without an agent, is not ready, and ends with 0 when it is told to', async () => {
    const folder = createRunFolder();
    const authz = launchAuthz(folder.path, {
      agentSocket: `${folder.path}/nobody.sock`,
      authz: { policies: folder.path },
    });
    await authz.line('the agent does not tell what holds');
    expect(authz.lines.some((line) => line.startsWith('{"ready":true'))).toBe(false);
    const unhealthy = await healthOf(authz.authzSocket);
    expect(unhealthy.code).toBe(10);
    expect(unhealthy.stderr).toContain('the authz is not serving');
    expect(await authz.stop()).toBe(0);
    await folder.remove();
  });

  it('goes by what was applied to the control plane, and tells what is in force', async () => {
    const folder = createRunFolder();
    const config = path.join(folder.path, 'up.yaml');
    writeFileSync(config, JSON.stringify({ agent: { takePolicies: true } }));
    const trustplane = await launchTrustplane(folder.path, '--config', config);
    const authz = launchAuthz(folder.path, {
      agentSocket: trustplane.socket,
      authz: { policies: { from: 'control-plane' } },
    });
    await authz.ready;
    const policy = async (...words: readonly string[]) =>
      await runTrustplane('policy', ...words, '--admin-socket', trustplane.adminSocket);
    const file = path.join(folder.path, 'p.yaml');
    writeFileSync(file, policyText('server', '/a'));
    const applied = await policy('apply', '-f', file, '--reason', 'first', '--wait');
    expect(applied).toMatchObject({ code: 0 });
    const status = await policy('status', '--output', 'json');
    const name = `authz ${authz.authzSocket}`;
    expect(JSON.parse(status.stdout)).toMatchObject({
      behind: [],
      agents: [{ takers: [{ name, state: 'in-force', version: 1 }] }],
    });
    expect(await authz.stop()).toBe(0);
    await eventually('that it is gone', async () => {
      const { stdout } = await policy('status', '--output', 'json');
      return JSON.parse(stdout).agents[0]?.takers.length === 0 || undefined;
    });
    await trustplane.stop();
    await folder.remove();
  });

  it('needs to be told where proxies ask', async () => {
    const finished = await runTrustplane('authz', 'run', '--output', 'json');
    expect(finished.code).toBe(2);
    expect(JSON.parse(finished.stderr)).toMatchObject({ error: { code: 'ERR_CONFIG' } });
  });
});
