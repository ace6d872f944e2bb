import { existsSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';

const root = path.join(import.meta.dirname, '..', '..');

/** Without what npm puts in front for its scripts: the machine's own Node starts trustplane. */
function machinePath(): string {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter);
  return folders.filter((folder) => !folder.includes('node_modules')).join(path.delimiter);
}

it.each(['SIGTERM', 'SIGINT'] as const)(
  'npx trustplane up ends in order when npx alone gets %s, and nothing is left',
  async (signal) => {
    await using closing = new AsyncDisposableStack();
    const folder = createRunFolder();
    closing.defer(async () => await folder.remove());
    const socket = path.join(folder.path, 'agent.sock');
    const places = ['--data-dir', path.join(folder.path, 'data'), '--socket', socket];
    const more = ['--admin-socket', path.join(folder.path, 'admin.sock'), '--output', 'json'];
    const npx = spawnTied('npx', ['trustplane', 'up', ...places, ...more], {
      cwd: root,
      env: { ...process.env, PATH: machinePath() },
    });
    closing.defer(async () => void (await npx.stop()));
    const ready = await eventually('trustplane is ready', () =>
      npx.lines.find((line) => line.startsWith('{"ready":true')),
    );
    const { pid }: { pid: number } = JSON.parse(ready);
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    npx.kill(signal);
    expect(await npx.ended).toBe(0);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(existsSync(socket)).toBe(false);
  },
);
