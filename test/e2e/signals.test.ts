import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createWorkloadApiClient } from '../../src/client/index.ts';
import { systemClock } from '../../src/ops/index.ts';
import { eventually } from '../programs/eventually.ts';
import { launchTrustplane, runTrustplane, spawnTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied, type TiedChild } from '../programs/tied-child.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

let folder: RunFolder;

beforeEach(() => {
  folder = createRunFolder();
});

afterEach(async () => {
  await folder.remove();
});

/** What lies beside the data directory: sockets, and folders that sockets are made in. */
function leftovers(): string[] {
  return readdirSync(folder.path).filter((name) => name !== 'data');
}

async function logged(child: TiedChild, message: string): Promise<void> {
  await eventually(
    `it logs "${message}"`,
    () => child.lines.some((line) => line.includes(message)),
    {
      everyMs: 1,
    },
  );
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('ends a running trustplane with 0 and leaves no socket', async () => {
    const trustplane = await launchTrustplane(folder.path);
    trustplane.kill(signal);
    expect(await trustplane.ended).toBe(0);
    expect(leftovers()).toEqual([]);
  });

  it('ends one that starts, wherever it is, and leaves no socket', async () => {
    for (const message of [
      'X.509 authority rotation',
      'agent.sock","msg":"listening',
      'admin.sock","msg":"listening',
    ]) {
      const child = spawnTrustplane(folder.path);
      await logged(child, message);
      child.kill(signal);
      expect(await child.ended).toBe(0);
      expect(leftovers()).toEqual([]);
      await rm(path.join(folder.path, 'data'), { recursive: true });
    }
  });

  it('ends one that has hardly begun, and leaves nothing', async () => {
    const child = spawnTrustplane(folder.path);
    child.kill(signal);
    expect(await child.ended).toBeOneOf([0, signal]);
    expect(leftovers()).toEqual([]);
  });

  it('sent twice ends it in order all the same, its streams too', async () => {
    const trustplane = await launchTrustplane(folder.path);
    await trustplane.createEntry('spiffe://example.org/web');
    const address = { kind: 'unix', path: trustplane.socket } as const;
    const client = createWorkloadApiClient({ address, clock: systemClock, random: Math.random });
    const watch = client.watchX509(new AbortController().signal)[Symbol.asyncIterator]();
    expect((await watch.next()).value).toMatchObject({ type: 'update' });
    trustplane.kill(signal);
    trustplane.kill(signal);
    expect((await watch.next()).value).toMatchObject({
      type: 'interrupted',
      error: { message: expect.stringContaining('shutting down') },
    });
    expect(await trustplane.ended).toBe(0);
    expect(leftovers()).toEqual([]);
    client.close();
  });

  it('ends a watch with 0', async () => {
    const trustplane = await launchTrustplane(folder.path);
    await trustplane.createEntry('spiffe://example.org/web');
    const watch = ['api', 'watch', '--socket', trustplane.socket];
    const child = spawnTied(process.execPath, [program, ...watch]);
    await logged(child, 'spiffe://example.org/web');
    child.kill(signal);
    expect(await child.ended).toBe(0);
    await trustplane.stop();
  });
});

describe('a reader that goes away', () => {
  it('does not end trustplane up', async () => {
    const file = (name: string): string => path.join(folder.path, name);
    const sockets = ['--socket', file('agent.sock'), '--admin-socket', file('admin.sock')];
    const child = spawn(process.execPath, [program, 'up', '--data-dir', file('data'), ...sockets], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const lines: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => lines.push(line));
    const exited = once(child, 'exit');
    await eventually('it is ready', () => lines.some((line) => line.includes('"msg":"ready"')));
    expect(await runTrustplane('healthcheck', ...sockets)).toMatchObject({ code: 0 });
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(leftovers()).toEqual([]);
  });

  it('ends commands that print with 0', async () => {
    const trustplane = await launchTrustplane(folder.path);
    await trustplane.createEntry('spiffe://example.org/web');
    const run = `${process.execPath} ${program}`;
    for (const command of [
      `entry show --admin-socket ${trustplane.adminSocket}`,
      `api watch --socket ${trustplane.socket}`,
      'config schema',
    ]) {
      const child = spawnTied('bash', ['-c', `${run} ${command} | true; exit $PIPESTATUS`]);
      expect([command, await child.ended, child.lines]).toEqual([command, 0, []]);
    }
    await trustplane.stop();
  });
});
