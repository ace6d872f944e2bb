import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { createRunFolder } from '../../test/programs/run-folder.ts';
import { run } from './program.ts';

async function runCaptured(...args: readonly string[]) {
  const printed = { out: '', err: '' };
  const io = {
    out: (text: string) => void (printed.out += text),
    err: (text: string) => void (printed.err += text),
    env: {},
    uid: 0,
  };
  return { code: await run(io, ['nats', ...args]), ...printed };
}

function folder(): string {
  const place = createRunFolder();
  onTestFinished(() => place.remove());
  return place.path;
}

const NKEY = `U${'A'.repeat(55)}`;
const FILES = ['--cert-file', 'c', '--key-file', 'k', '--ca-file', 'a'];

it.each([
  [['--listen', '4222'], '--listen is a host and port'],
  [['--listen', 'a:70000'], '--listen is a host and port'],
  [['--server-name', 'a b'], '--server-name has letters'],
  [['--route', 'a:1'], '--route and --cluster-name say nothing without --cluster-listen'],
  [['--leaf-listen', 'a:1'], '--leaf-listen and --leaf-node say nothing without each other'],
  [['--nkey', NKEY], '--nkey belongs to --for store'],
  [['--for', 'store', '--nkey', NKEY], '--for store takes --cert-file, --key-file and --ca-file'],
  [['--for', 'store', ...FILES], '--for store takes the --nkey of each trustplane server'],
  [['--for', 'store', ...FILES, '--nkey', 'SUA'], '--nkey is a public NKEY of a user'],
  [
    ['--for', 'store', '--publisher', 'spiffe://a.test/x'],
    '--publisher belongs to --for broadcast',
  ],
  [['--publisher', 'https://a.test'], 'a SPIFFE ID begins with'],
])('refuses %j', async (flags, why) => {
  const where = ['--trust-domain', 'a.test', '--dir', path.join(folder(), 'nats')];
  const { code, err } = await runCaptured('config', ...where, ...flags);
  expect([code, err]).toEqual([2, expect.stringContaining(why)]);
});

it('refuses one that is publisher and leaf node', async () => {
  const id = 'spiffe://b.test/nats';
  const leaf = ['--leaf-listen', '0.0.0.0:7422', '--leaf-node', id, '--publisher', id];
  const { err } = await runCaptured(
    'config',
    '--trust-domain',
    'a.test',
    '--dir',
    folder(),
    ...leaf,
  );
  expect(err).toContain(`${id} is either a --publisher or a --leaf-node`);
});

it('writes the same again for the same flags', async () => {
  const place = folder();
  const args = ['config', '--trust-domain', 'a.test', '--dir', place, '--server-name', 'n'];
  const { code, out } = await runCaptured(...args, '--output', 'json');
  const { file } = JSON.parse(out);
  const first = await readFile(file, 'utf8');
  await runCaptured(...args);
  expect([code, await readFile(file, 'utf8')]).toEqual([0, first]);
});

it('makes an NKEY once, its seed for the owner alone', async () => {
  const file = path.join(folder(), 'seed');
  const { code, out } = await runCaptured('create-nkey', '--seed-file', file);
  expect([code, out]).toEqual([0, expect.stringMatching(/^U[A-Z2-7]{55}\n$/u)]);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(await readFile(file, 'utf8')).toMatch(/^SU[A-Z2-7]{56}\n$/u);
  expect((await runCaptured('create-nkey', '--seed-file', file)).code).not.toBe(0);
});
