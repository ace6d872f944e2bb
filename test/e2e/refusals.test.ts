import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';

let folder: string;
let running: RunningTrustplane | undefined;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'tp-refusals-'));
});

afterEach(async () => {
  await running?.stop();
  running = undefined;
  rmSync(folder, { recursive: true, force: true });
});

const up = (...flags: readonly string[]) => {
  const places = [
    '--data-dir',
    path.join(folder, 'data'),
    '--socket',
    path.join(folder, 'agent.sock'),
  ];
  return runTrustplane(
    'up',
    ...places,
    '--admin-socket',
    path.join(folder, 'admin.sock'),
    ...flags,
  );
};

/** Starts once and stops, so that there is something to damage. */
async function makeData(): Promise<void> {
  const instance = await launchTrustplane(folder);
  await instance.createEntry('spiffe://example.org/web');
  await instance.stop();
}

/** Every file of the data directory with its bytes, but for the lock and its holder's number. */
function snapshot(): Record<string, string> {
  const data = path.join(folder, 'data');
  const files = readdirSync(data, { recursive: true, encoding: 'utf8' }).filter(
    (name) => name !== 'lock',
  );
  return Object.fromEntries(
    files
      .filter((name) => statSync(path.join(data, name)).isFile())
      .map((name) => [name, readFileSync(path.join(data, name)).toString('base64')]),
  );
}

describe('trustplane up refuses', () => {
  it('a data directory of a running instance, and names the process', async () => {
    running = await launchTrustplane(folder);
    const second = await up(
      '--socket',
      path.join(folder, 'b.sock'),
      '--admin-socket',
      path.join(folder, 'b-admin.sock'),
    );
    expect(second).toMatchObject({ code: 7 });
    expect(second.stderr).toContain('ERR_DATA_DIR_IN_USE');
    expect(second.stderr).toContain(String(running.pid));
  });

  it('a socket that is taken, without touching it', async () => {
    const taken = createServer().listen(path.join(folder, 'agent.sock'));
    const refused = await up();
    expect(refused).toMatchObject({ code: 7 });
    expect(refused.stderr).toContain('ERR_SOCKET_IN_USE');
    expect(statSync(path.join(folder, 'agent.sock')).isSocket()).toBe(true);
    taken.close();
  });

  it('a socket that is taken, as an agent that was to join', async () => {
    const socket = path.join(folder, 'agent.sock');
    const taken = createServer().listen(socket);
    const places = ['--data-dir', path.join(folder, 'data'), '--cache-key-file', `${folder}/key`];
    const refused = await runTrustplane('agent', 'run', '--socket', socket, ...places);
    expect(refused).toMatchObject({ code: 7 });
    expect(refused.stderr).toMatch(/another process listens on it \(ERR_SOCKET_IN_USE\)\n$/u);
    taken.close();
  });

  it('a socket path that is too long, with both lengths', async () => {
    const refused = await up('--socket', path.join(folder, 'x'.repeat(120)));
    expect(refused).toMatchObject({ code: 2 });
    expect(refused.stderr).toMatch(/ERR_SOCKET_PATH_TOO_LONG/u);
    expect(refused.stderr).toMatch(/107/u);
  });

  it('a database whose bytes were changed, and leaves everything as it is', async () => {
    await makeData();
    const file = path.join(folder, 'data', 'trustplane.db');
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096, 8192);
    writeFileSync(file, bytes);
    const before = snapshot();
    const refused = await up();
    expect(refused).toMatchObject({ code: 12 });
    expect(refused.stderr).toContain('ERR_STORE_DAMAGED');
    expect(refused.stderr).toContain(file);
    expect(snapshot()).toEqual(before);
  });

  it('a private key whose bytes were changed, and leaves everything as it is', async () => {
    await makeData();
    const keys = path.join(folder, 'data', 'keys');
    const file = path.join(keys, readdirSync(keys)[0] ?? '');
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const before = snapshot();
    const refused = await up();
    expect(refused.code).not.toBe(0);
    expect(refused.stderr).toContain('ERR_KEY_FILE_DAMAGED');
    expect(refused.stderr).toContain(file);
    // The journal has a line more: how far the store was when it was opened.
    const { 'facts.journal': journal = '', ...rest } = snapshot();
    const { 'facts.journal': journalBefore = '', ...restBefore } = before;
    expect(rest).toEqual(restBefore);
    expect(Buffer.from(journal, 'base64').indexOf(Buffer.from(journalBefore, 'base64'))).toBe(0);
  });

  it('keys whose database is gone, and keeps them', async () => {
    await makeData();
    rmSync(path.join(folder, 'data', 'trustplane.db'));
    rmSync(path.join(folder, 'data', 'trustplane.db-wal'), { force: true });
    const before = snapshot();
    const refused = await up();
    expect(refused).toMatchObject({ code: 12 });
    expect(refused.stderr).toContain('ERR_STORE_MISSING');
    expect(snapshot()).toEqual(before);
  });

  it('the database of another trust domain', async () => {
    await makeData();
    const refused = await up('--trust-domain', 'other.test');
    expect(refused).toMatchObject({ code: 7 });
    expect(refused.stderr).toContain('ERR_STORE_TRUST_DOMAIN');
  });

  it.each([
    ['an unknown key', 'trustdomain: a.test\n', ':1:1: trustdomain: unknown key'],
    [
      'a wrong type',
      'server:\n  ca:\n    ttl: 5\n',
      ':3:10: server.ca.ttl: expected duration, 10s to 3650d, got 5',
    ],
    ['an oversized file', `#${'x'.repeat(1_048_576)}\n`, 'at most 1048576 are read'],
    [
      'a contradiction',
      'server:\n  ca: { ttl: 1m }\n  x509Svid: { ttl: 1h }\n',
      'cannot outlive its authority',
    ],
  ])('a configuration with %s', async (_what, text, message) => {
    const file = path.join(folder, 'trustplane.yaml');
    writeFileSync(file, text);
    for (const refused of [
      await up('--config', file),
      await runTrustplane('config', 'check', file),
      await runTrustplane('config', 'check', '--config', file),
    ]) {
      expect(refused).toMatchObject({ code: 2 });
      expect(refused.stderr).toContain(message);
    }
    expect(readdirSync(folder)).toEqual(['trustplane.yaml']);
  });
});

describe('trustplane entry refuses', () => {
  it('malformed and doubled entries, and goes on serving', async () => {
    running = await launchTrustplane(folder);
    const create = (...flags: readonly string[]) =>
      runTrustplane('entry', 'create', '--admin-socket', path.join(folder, 'admin.sock'), ...flags);
    const good = ['--spiffe-id', 'spiffe://example.org/web', '--selector', 'unix:uid:0'];
    expect(await create(...good)).toMatchObject({ code: 0 });

    const refusals: readonly (readonly [readonly string[], number, RegExp])[] = [
      [good, 4, /ERR_ENTRY_EXISTS|exists/u],
      [
        ['--spiffe-id', 'spiffe://example.org/a/', '--selector', 'unix:uid:0'],
        2,
        /trailing "\/" \(ERR_SPIFFE_ID_PATH\)/u,
      ],
      [
        ['--spiffe-id', 'http://example.org/a', '--selector', 'unix:uid:0'],
        2,
        /begins with "spiffe:\/\/"/u,
      ],
      [
        ['--spiffe-id', 'spiffe://example.org/spire/x', '--selector', 'unix:uid:0'],
        2,
        /\/spire\//u,
      ],
      [['--spiffe-id', 'spiffe://other.test/a', '--selector', 'unix:uid:0'], 2, /other\.test/u],
      [['--spiffe-id', 'spiffe://example.org/a', '--selector', 'unix:colour:1'], 2, /colour/u],
      [['--spiffe-id', 'spiffe://example.org/a', '--selector', 'unix'], 2, /ERR_SELECTOR/u],
      [['--spiffe-id', 'spiffe://example.org/a'], 2, /--selector is required/u],
      [[...good, '--hint', 'x'.repeat(1025)], 2, /1024/u],
    ];
    for (const [flags, code, message] of refusals) {
      const refused = await create(...flags);
      expect([flags, refused.code, refused.stderr]).toEqual([
        flags,
        code,
        expect.stringMatching(message),
      ]);
    }
    const counted = await runTrustplane(
      'entry',
      'count',
      '--admin-socket',
      path.join(folder, 'admin.sock'),
      '--output',
      'json',
    );
    expect(JSON.parse(counted.stdout)).toEqual({ count: 1 });
  });

  it('to guess when nothing answers', async () => {
    const socket = path.join(folder, 'none.sock');
    const refused = await runTrustplane(
      'entry',
      'show',
      '--admin-socket',
      socket,
      '--output',
      'json',
    );
    expect(refused).toMatchObject({ code: 10, stdout: '' });
    expect(JSON.parse(refused.stderr)).toMatchObject({
      error: { code: 'ERR_UNREACHABLE', message: expect.stringContaining(socket) },
    });
  });
});
