import path from 'node:path';
import { expect, it } from 'vitest';
import { launchTrustplane, runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

it('healthcheck waits for a start, and says which part is not serving without one', async () => {
  const folder = createRunFolder();
  const admin = ['--admin-socket', path.join(folder.path, 'admin.sock')];
  const sockets = [...admin, '--socket', path.join(folder.path, 'agent.sock')];
  try {
    const refused = await runTrustplane('healthcheck', ...sockets);
    expect(refused).toMatchObject({ code: 10 });
    expect(refused.stderr).toMatch(/the server is not serving.*the agent is not serving/u);

    const waiting = runTrustplane('healthcheck', '--wait', '60s', ...sockets);
    const trustplane = await launchTrustplane(folder.path);
    expect(await waiting).toMatchObject({ code: 0, stderr: '' });
    await trustplane.stop();

    const timedOut = await runTrustplane('healthcheck', '--wait', '1ms', ...sockets);
    expect(timedOut).toMatchObject({ code: 10 });
  } finally {
    await folder.remove();
  }
});
