import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { eventually } from './eventually.ts';
import { spawnTied } from './tied-child.ts';

const file = path.join(import.meta.dirname, 'tied-child.ts');

/** Starts a tied `sleep` and says its process id. */
const PARENT = `
const { spawnTied } = await import(${JSON.stringify(file)});
console.log(spawnTied('sleep', ['300']).pid);
`;

function isAlive(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

it('ends the child when the parent is killed', async () => {
  const parent = spawn(process.execPath, ['--input-type=module', '--eval', PARENT]);
  const [chunk]: Buffer[] = await once(parent.stdout, 'data');
  const pid = Number(chunk);
  const isSleep = () => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n';
  await eventually('the shell has become the program', () => isSleep() || undefined);
  parent.kill('SIGKILL');
  await eventually('the child ends', () => !isAlive(pid) || undefined);
  expect(isAlive(pid)).toBe(false);
});

it('has the process id of the program and gives its output, line by line', async () => {
  const child = spawnTied('sh', ['-c', 'echo $$; echo out; echo err >&2; exit 3']);
  expect(await child.ended).toBe(3);
  expect(child.lines[0]).toBe(String(child.pid));
  expect(child.lines.toSorted()).toEqual([String(child.pid), 'err', 'out']);
});

it('stops a program that ignores SIGTERM', async () => {
  const child = spawnTied('sh', ['-c', 'trap "" TERM; echo ready; while :; do sleep 0.05; done']);
  await eventually('it runs', () => child.lines.includes('ready') || undefined);
  expect(await child.stop()).toBe('SIGKILL');
});

it('tells which signal ended a program', async () => {
  const child = spawnTied('sleep', ['300']);
  child.kill('SIGKILL');
  expect(await child.ended).toBe('SIGKILL');
});
