import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { run } from './program.ts';

/** Runs a command line; returns its exit code and what it printed. */
async function runCaptured(...args: readonly string[]) {
  const printed = { out: '', err: '' };
  const io = {
    out: (text: string) => void (printed.out += text),
    err: (text: string) => void (printed.err += text),
    env: {},
    uid: 0,
  };
  return { code: await run(io, args), ...printed };
}

it('refuses what it does not know, with a hint', async () => {
  expect(await runCaptured('entry', 'create', '--bogus')).toEqual({
    code: 2,
    out: '',
    err: "error: unknown option '--bogus'\n(see --help)\n",
  });
});

it('refuses it as JSON where JSON is asked for', async () => {
  const { code, out, err } = await runCaptured('entry', 'create', '--bogus', '--output', 'json');
  expect([code, out]).toEqual([2, '']);
  expect(JSON.parse(err)).toEqual({
    error: { code: 'ERR_USAGE', message: "unknown option '--bogus'" },
  });
});

it('refuses a bad value before anything is sent', async () => {
  const ttl = ['--x509-svid-ttl', '1x'];
  const { code, err } = await runCaptured('entry', 'update', 'web', ...ttl, '-o', 'json');
  expect(code).toBe(2);
  expect(JSON.parse(err).error.message).toContain('--x509-svid-ttl');
});

it('warns of selectors that nobody is known to make, and asks the server all the same', async () => {
  const entry = [
    '--spiffe-id',
    'spiffe://example.org/web',
    '--admin-socket',
    '/nowhere/admin.sock',
  ];
  const flags = [...entry, '--selector', 'unx:uid:1', '--selector', 'unix:gid:1'];
  const { code, err } = await runCaptured('entry', 'create', ...flags);
  expect(code).toBe(10);
  expect(err).toMatch(
    /^warning: no attestor of trustplane or SPIRE makes the selector unx:uid:1\n/u,
  );
});

it('prints help on standard output', async () => {
  const { code, out, err } = await runCaptured('entry', 'create', '--help');
  expect([code, err]).toEqual([0, '']);
  expect(out).toContain('Examples:');
});

const usage = async (...args: readonly string[]) => {
  const { code, out, err } = await runCaptured(...args, '-o', 'json');
  return { code, out, error: JSON.parse(err).error };
};

it.each([
  ['--spiffe-id', ''],
  ['--spiffe-id', 'web'],
  ['--agent', 'nonsense'],
  ['--since', '20', '--until', '10'],
  ['--since', '20', '--until', '20'],
  ['--follow', '--until', '20'],
])('refuses a look at the ledger that can find nothing: %s %s', async (...flags) => {
  expect(await usage('audit', 'show', '--admin-socket', '/nowhere/a.sock', ...flags)).toMatchObject(
    { code: 2, out: '', error: { code: 'ERR_USAGE', message: expect.stringContaining('--') } },
  );
});

it('says that there is no ledger in a directory without one', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'trustplane-no-ledger-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { code, error } = await usage('audit', 'verify', '--dir', folder);
  expect([code, error.code]).toEqual([3, 'ERR_AUDIT_NONE']);
  expect(error.message).toContain(folder);
});

it.each([['entry', 'count'], ['audit', 'verify'], ['export']])(
  'refuses an admin socket without a name: %s',
  async (...command) => {
    expect(await usage(...command, '--admin-socket', '')).toMatchObject({
      code: 2,
      error: { code: 'ERR_USAGE', message: expect.stringContaining('--admin-socket') },
    });
  },
);
