import path from 'node:path';
import { expect, it } from 'vitest';
import { runAdmin } from '../programs/fleet-process.ts';
import { launchServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const WEB = 'spiffe://example.org/web';

it('an agent on another host gives out JWT-SVIDs, validates them, and goes on with them while the server is away', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const fleet = stack.use(await launchServerAndAgent(folder.path));
  const parent = `spiffe://example.org${fleet.agentPath}`;
  const selector = `unix:uid:${process.getuid?.() ?? 0}`;
  const entry = ['--spiffe-id', WEB, '--parent-id', parent, '--selector', selector];
  await runAdmin(fleet.adminSocket, 'entry', 'create', ...entry);
  const api = async (...args: readonly string[]) =>
    await runTrustplane('api', ...args, '--socket', fleet.socket);

  const file = path.join(folder.path, 'token');
  const fetch = ['fetch', 'jwt', '--audience', 'db', '--write', file, '--output', 'json'];
  await expect.poll(async () => (await api(...fetch)).code, { timeout: 20_000 }).toBe(0);
  expect(await api('validate', 'jwt', '--audience', 'db', file)).toMatchObject({
    code: 0,
    stderr: '',
    stdout: expect.stringContaining(WEB),
  });

  await fleet.server.kill();
  expect(await api(...fetch)).toMatchObject({ code: 0, stderr: '' });
  expect(await api('validate', 'jwt', '--audience', 'db', file)).toMatchObject({ code: 0 });
  const other = await api('fetch', 'jwt', '--audience', 'unheard of', '--timeout', '30s');
  expect(other).toMatchObject({ code: 10, stdout: '' });
});
