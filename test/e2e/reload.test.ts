import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { buildConfig } from '../../src/app/config.ts';
import { optionNames } from '../../src/app/config-options.ts';
import { createProcess } from '../../src/app/process.ts';
import { startServer } from '../../src/app/server-run.ts';
import { launchServer, writeServerConfig } from '../programs/launch-server.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;

beforeEach(() => {
  folder = createRunFolder();
});

afterEach(async () => {
  await folder.remove();
});

describe('SIGHUP', () => {
  it.each(['server run', 'up'] as const)('has %s take up what it can', async (role) => {
    const config = 'log: { level: "${LEVEL}" }\nserver: { ca: { ttl: 1h } }\n';
    const server = await launchServer(folder.path, { role, config, env: { LEVEL: 'warn' } });
    expect(await server.ask('log-level', 'get')).toEqual({ current: 'warn', configured: 'warn' });
    writeServerConfig(folder.path, 'log: { level: debug }\nserver: { ca: { ttl: 2h } }\n');
    server.kill('SIGHUP');
    const kept = JSON.parse(await server.line('takes effect at the next start'));
    expect(kept).toMatchObject({ level: 'warn', option: 'server.ca.ttl' });
    const done = JSON.parse(await server.line('the configuration was reloaded'));
    expect(done).toMatchObject({ changed: ['log.level'], kept: ['server.ca.ttl'] });
    expect(await server.ask('log-level', 'set', 'trace')).toEqual({
      current: 'trace',
      configured: 'debug',
    });
    expect(await server.ask('log-level', 'reset')).toMatchObject({ current: 'debug' });

    writeServerConfig(folder.path, 'log: { level: debug }\nlgo: {}\n');
    server.kill('SIGHUP');
    const refused = JSON.parse(await server.line('was not reloaded'));
    expect(refused).toMatchObject({
      level: 'error',
      error: expect.stringContaining('trustplane.yaml:2:1: lgo: unknown key'),
    });
    expect(await server.ask('status')).toMatchObject({ healthy: true });
    expect(await server.stop()).toBe(0);
  });

  it('without a configuration file ends a server in order', async () => {
    const { launchTrustplane } = await import('../programs/launch-trustplane.ts');
    const trustplane = await launchTrustplane(folder.path);
    trustplane.kill('SIGHUP');
    expect(await trustplane.ended).toBe(0);
  });
});

it('a server takes up exactly the options that the reference says', async () => {
  const at = (name: string): string => path.join(folder.path, name);
  const paths = {
    dataDir: at('data'),
    agentDataDir: at('agent'),
    agentCacheKeyFile: at('agent-cache.key'),
    runDir: folder.path,
    socket: at('agent.sock'),
    adminSocket: at('admin.sock'),
  };
  const process = createProcess('fatal');
  const running = await startServer(
    buildConfig({ bindAddress: '127.0.0.1:0' }, {}, paths),
    process,
  );
  await running.close();
  expect(process.reloader.options.toSorted()).toEqual(
    optionNames({ only: 'reloadable' })
      .filter((name) => !name.startsWith('agent.'))
      .toSorted(),
  );
});
