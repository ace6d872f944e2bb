import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { fetchAgentStatus } from '../../src/client/index.ts';
import { eventually } from '../programs/eventually.ts';
import { runAdmin } from '../programs/fleet-process.ts';
import { launchServer, program } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';

it('an agent goes on when nobody reads what it prints', async () => {
  const folder = createRunFolder();
  onTestFinished(async () => await folder.remove());
  const at = (name: string): string => path.join(folder.path, name);
  const server = await launchServer(folder.path);
  onTestFinished(async () => void (await server.stop()));
  await writeFile(at('bundle.pem'), await runAdmin(server.adminSocket, 'bundle', 'show'));
  const join = ['--join-token', await server.makeToken(), '--bundle-file', at('bundle.pem')];
  const places = ['--data-dir', at('agent'), '--socket', at('agent.sock')];
  const address = ['--server', `127.0.0.1:${server.port}`];
  const command = [program, 'agent', 'run', ...address, ...join, ...places];
  const agent = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(agent, 'exit');
  onTestFinished(async () => {
    agent.kill('SIGKILL');
    await ended;
  });
  agent.stdout.destroy();
  agent.stderr.destroy();
  await eventually(
    'it is ready',
    async () => (await fetchAgentStatus(at('agent.sock'))) !== undefined,
  );
  // What it does for an administrator comes after what it printed when it was ready.
  await eventually('it is known', async () => (await server.ask('agent', 'count')).count === 1);
  expect([agent.exitCode, agent.signalCode]).toEqual([null, null]);
});
