import { appendFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readStoredAudit } from '../../src/app/stored-audit.ts';
import { eventually } from '../programs/eventually.ts';
import {
  joinServer,
  type LaunchedServer,
  launchServer,
  logOf,
  program,
} from '../programs/launch-server.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { spawnTied } from '../programs/tied-child.ts';

const WEB = 'spiffe://example.org/web';
const JOB = 'spiffe://example.org/job';
const DAMAGED = 12;

let folder: RunFolder;
let server: LaunchedServer;
let dataDir: string;

beforeEach(() => {
  folder = createRunFolder();
  dataDir = path.join(folder.path, 'data');
});

afterEach(async () => {
  await server.stop();
  await folder.remove();
});

/** What `audit show` prints, as JSON. */
async function show(...flags: readonly string[]) {
  const { code, stdout, stderr } = await audit('show', ...flags, '--output', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line));
}

async function audit(...args: readonly string[]) {
  const isStored = ['--data-dir', '--dir', '--from-file'].some((flag) => args.includes(flag));
  const socket = isStored ? [] : ['--admin-socket', server.adminSocket];
  return await runTrustplane('audit', ...args, ...socket);
}

async function mint(spiffeId: string): Promise<void> {
  await server.ask('svid', 'x509', 'mint', '--spiffe-id', spiffeId);
}

describe('the ledger of a running server', () => {
  beforeEach(async () => {
    server = await launchServer(folder.path);
    await mint(WEB);
    await mint(JOB);
    await server.ask('svid', 'jwt', 'mint', '--spiffe-id', WEB, '--audience', 'db');
  });

  it('is shown by kind, SPIFFE ID, serial number, agent and instant, as much as is wanted', async () => {
    const agent = await joinServer(server);
    const all = await show('--limit', '0');
    const [first] = all;
    expect(first).toMatchObject({ sequenceNumber: 1, event: { kind: 'ledger', what: 'begun' } });
    const ofWeb = await show('--spiffe-id', WEB);
    expect(ofWeb.map(({ event }) => event.kind)).toEqual(['x509-svid', 'jwt-svid']);
    const [{ event: svid, at }] = ofWeb;
    expect(svid).toMatchObject({ purpose: 'mint', requester: { kind: 'user' } });
    const bytes = svid.serialNumber.match(/../gu).join(':').toUpperCase();
    for (const serial of [svid.serialNumber, bytes]) {
      expect(await show('--serial', serial)).toMatchObject([{ event: svid }]);
    }
    expect(await show('--serial', 'beef')).toEqual([]);
    expect(await audit('show', '--serial', 'beef')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('no record of the ledger'),
    });
    const kinds = await show('--kind', 'x509-svid', '--spiffe-id', JOB);
    expect(kinds).toMatchObject([{ event: { spiffeId: JOB } }]);
    const ofAgent = await show('--agent', agent.id.toString());
    expect(ofAgent.map(({ event }) => event.kind)).toContain('attestation');
    expect(JSON.stringify(ofAgent)).not.toContain(JOB);
    const last = await show('--limit', '2');
    expect(last.map((record) => record.sequenceNumber)).toEqual(
      all.slice(-2).map((record) => record.sequenceNumber),
    );
    expect(await show('--until', at.slice(0, 19).concat('Z'), '--spiffe-id', WEB)).toEqual([]);
    expect(await show('--since', '2100-01-01T00:00:00Z')).toEqual([]);
    const text = await audit('show', '--spiffe-id', JOB);
    expect(text.stdout).toContain(`x509-svid  ${JOB}  `);
  });

  it('is followed as it grows, filtered', async () => {
    const flags = ['--follow', '--kind', 'x509-svid', '--output', 'json'];
    const args = ['audit', 'show', ...flags, '--admin-socket', server.adminSocket];
    const follower = spawnTied(process.execPath, [program, ...args]);
    const log = logOf(follower);
    await log.line(JOB);
    await server.ask('svid', 'jwt', 'mint', '--spiffe-id', `${WEB}/jwt`, '--audience', 'db');
    for (const name of ['a', 'b', 'c']) await mint(`${WEB}/${name}`);
    await log.line(`${WEB}/c`);
    const ids = log.lines.map((line) => JSON.parse(line).event.spiffeId);
    const minted = [WEB, JOB, `${WEB}/a`, `${WEB}/b`, `${WEB}/c`];
    expect(ids.filter((id) => minted.includes(id))).toEqual(minted);
    expect(ids).not.toContain(`${WEB}/jwt`);
    await follower.stop();
    expect(await server.ask('audit', 'verify')).toMatchObject({ good: true });
  });

  it('refuses filters that mean nothing', async () => {
    for (const flags of [
      ['--serial', 'xyz'],
      ['--kind', 'other'],
      ['--since', 'then'],
      ['--follow', '--data-dir', dataDir],
      ['--data-dir', dataDir, '--dir', dataDir],
    ]) {
      expect(await audit('show', ...flags)).toMatchObject({ code: 2, stdout: '' });
    }
  });

  it('verifies live, by what was exported, and offline; what was changed ends with 12', async () => {
    expect(await server.ask('audit', 'verify')).toMatchObject({
      good: true,
      findings: [],
      isAnchored: true,
    });
    expect((await audit('verify', '--data-dir', dataDir)).code).not.toBe(0);
    const exported = path.join(folder.path, 'exported.jsonl');
    const { stdout } = await audit('export');
    writeFileSync(exported, stdout);
    expect((await audit('verify', '--from-file', exported)).code).toBe(0);
    const stored = path.join(dataDir, 'audit', 'audit-0000000000000001.jsonl');
    expect(readFileSync(stored, 'utf8').startsWith(stdout)).toBe(true);
    expect(await show('--from-file', exported, '--spiffe-id', JOB)).toHaveLength(1);

    writeFileSync(exported, stdout.replace(JOB, `${WEB}s`));
    const changed = await audit('verify', '--from-file', exported);
    expect(changed).toMatchObject({ code: DAMAGED, stderr: '' });
    expect(changed.stdout).toMatch(/NOT as it was written[^]*exported\.jsonl:\d+: /u);

    const live = readFileSync(stored, 'utf8');
    writeFileSync(stored, live.replace(JOB, `${WEB}s`));
    expect((await audit('verify')).code).toBe(DAMAGED);
    expect(JSON.stringify(await server.ask('status'))).toContain('trustplane audit verify');
    writeFileSync(stored, live);
    await server.stop();
    expect((await audit('verify', '--data-dir', dataDir)).code).toBe(0);
    expect(await show('--data-dir', dataDir, '--spiffe-id', JOB)).toHaveLength(1);
    const whole = readFileSync(stored, 'utf8');
    writeFileSync(stored, whole.slice(0, whole.lastIndexOf('\n', whole.length - 2) + 1));
    expect((await audit('verify', '--data-dir', dataDir)).code).toBe(DAMAGED);
    expect((await audit('verify', '--dir', path.join(dataDir, 'audit'))).code).toBe(0);
  });
});

it.each([
  ['its own', 'audit', '2m'],
  ['all data', '.', '8m'],
])('a full disk of %s refuses issuance until there is room', async (_, name, size) => {
  const place = path.join(dataDir, name);
  mkdirSync(place, { recursive: true, mode: 0o700 });
  const mounted = `mount -t tmpfs -o size=${size},mode=700 none "$0" && exec "$@"`;
  const under = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c', mounted, place];
  server = await launchServer(folder.path, { under });
  const inside = path.join('/proc', String(server.pid), 'root', place);
  const ballast = path.join(inside, 'ballast');
  expect(() => {
    for (;;) appendFileSync(ballast, Buffer.alloc(4_096));
  }).toThrow('ENOSPC');
  const issued: string[] = [];
  const refused = await eventually('a refusal', async () => {
    const id = `${WEB}/${issued.length}`;
    const args = ['svid', 'x509', 'mint', '--spiffe-id', id];
    const tried = await runTrustplane(...args, '--admin-socket', server.adminSocket);
    if (tried.code !== 0) return tried;
    issued.push(id);
    return undefined;
  });
  expect(refused).toMatchObject({ stdout: '' });
  expect(refused.stderr).toMatch(/ENOSPC[^]*ERR_AUDIT_WRITE/u);
  expect(await server.ask('status')).toMatchObject({
    healthy: false,
    problems: expect.arrayContaining([expect.stringContaining('cannot be written')]),
  });
  // What is there can still be read.
  expect(await server.ask('audit', 'verify')).toMatchObject({ good: true });

  rmSync(ballast);
  await server.line('the audit ledger can be written again');
  expect(await server.ask('status')).toMatchObject({ healthy: true });
  await mint(JOB);
  expect(await server.ask('audit', 'verify')).toMatchObject({ good: true });
  const resumed = await show('--kind', 'ledger');
  expect(resumed.map(({ event }) => event.what)).toEqual(['begun', 'resumed']);
  const recorded: string[] = [];
  const from = { folder: path.join('/proc', String(server.pid), 'root', dataDir, 'audit') };
  for await (const { event } of readStoredAudit(from, { kind: 'x509-svid' })) {
    if (event.kind === 'x509-svid' && event.purpose === 'mint') recorded.push(event.spiffeId);
  }
  expect(recorded).toEqual([...issued, JOB]);
});
