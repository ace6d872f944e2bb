import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AttestableChild } from '../../../test/programs/attestable-child.ts';
import { createMetrics, readStartTime, silentLog, systemClock } from '../../ops/index.ts';
import { createWorkloadAttestation } from './attest.ts';
import { createUnixAttestor, type UnixAttestorOptions } from './unix.ts';
import type { AttestableProcess } from './workload-attestor.ts';

const isRoot = process.getuid?.() === 0;
const canUnshare = isRoot && spawnSync('unshare', ['-m', 'true']).status === 0;
const SLEEP = realpathSync('/bin/sleep');
const SHELL = realpathSync('/bin/sh');

let folder: string;
const children: AttestableChild[] = [];

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'unix-attestor-')));
  chmodSync(folder, 0o755);
});

afterEach(async () => {
  await Promise.all(children.splice(0).map((child) => child.stop()));
  rmSync(folder, { recursive: true });
});

async function start(...args: Parameters<typeof AttestableChild.start>): Promise<AttestableChild> {
  const child = await AttestableChild.start(...args);
  children.push(child);
  return child;
}

async function attest(
  process: AttestableProcess,
  options: Partial<UnixAttestorOptions> = {},
): Promise<readonly string[]> {
  const attestation = createWorkloadAttestation({
    attestors: [
      createUnixAttestor({
        log: silentLog,
        clock: systemClock,
        discoverWorkloadPath: true,
        maxExecutableBytes: 2 ** 30,
        ...options,
      }),
    ],
    log: silentLog,
    metrics: createMetrics(),
    clock: systemClock,
  });
  return (await attestation.attest(process)).texts;
}

const digest = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

function only(texts: readonly string[], name: string): string[] {
  return texts.filter((text) => text.startsWith(`unix:${name}:`));
}

describe('unix attestor', () => {
  it('gives the selectors that SPIRE names (SDS-22)', async () => {
    const passwdFile = join(folder, 'passwd');
    const groupFile = join(folder, 'group');
    const child = await start(SLEEP, ['60']);
    writeFileSync(passwdFile, `alice:x:${child.uid}:${child.gid}::/:/bin/sh\n`);
    writeFileSync(groupFile, `staff:x:${child.gid}:\n`);
    const texts = await attest(child, { passwdFile, groupFile });
    expect(texts.filter((text) => !text.startsWith('unix:supplementary_'))).toEqual([
      `unix:gid:${child.gid}`,
      'unix:group:staff',
      `unix:path:${SLEEP}`,
      `unix:sha256:${digest(SLEEP)}`,
      `unix:uid:${child.uid}`,
      'unix:user:alice',
    ]);
  });

  it('gives no names that only a directory service knows, but the IDs', async () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    const child = await start(SLEEP, ['60']);
    const texts = await attest(child, { passwdFile: empty, groupFile: empty });
    expect([...only(texts, 'user'), ...only(texts, 'group')]).toEqual([]);
    expect(only(texts, 'uid')).toEqual([`unix:uid:${child.uid}`]);
  });

  it('gives neither path nor sha256 when they are switched off', async () => {
    const child = await start(SLEEP, ['60']);
    const texts = await attest(child, { discoverWorkloadPath: false });
    expect([...only(texts, 'path'), ...only(texts, 'sha256')]).toEqual([]);
    expect(texts.length).toBeGreaterThan(1);
  });

  it('leaves out sha256 of an executable that is too long', async () => {
    const child = await start(SLEEP, ['60']);
    const texts = await attest(child, { maxExecutableBytes: 1_000 });
    expect(only(texts, 'path')).toEqual([`unix:path:${SLEEP}`]);
    expect(only(texts, 'sha256')).toEqual([]);
  });

  it.runIf(isRoot)('tells users apart (WLEP-9)', async () => {
    const texts = await attest(await start(SLEEP, ['60'], { uid: 4321, gid: 8765 }));
    expect([...only(texts, 'uid'), ...only(texts, 'gid')]).toEqual([
      'unix:uid:4321',
      'unix:gid:8765',
    ]);
  });

  it.runIf(isRoot)('gives supplementary groups by ID and name', async () => {
    const groupFile = join(folder, 'group');
    writeFileSync(groupFile, 'disks:x:3001:\n');
    const groups = process.getgroups?.() ?? [];
    process.setgroups?.([3001, 3002]);
    const starting = start(SLEEP, ['60']);
    process.setgroups?.(groups);
    const texts = await attest(await starting, { groupFile });
    expect(only(texts, 'supplementary_gid')).toEqual([
      'unix:supplementary_gid:3001',
      'unix:supplementary_gid:3002',
    ]);
    expect(only(texts, 'supplementary_group')).toEqual(['unix:supplementary_group:disks']);
  });

  it.runIf(isRoot)(
    'refuses credentials that are not those of the connection (WLEP-9)',
    async () => {
      const child = await start(SLEEP, ['60']);
      const connectedAsUser = {
        pid: child.pid,
        uid: 4321,
        gid: 4321,
        startTime: child.startTime,
        isAlive: () => child.isAlive(),
      };
      await expect(attest(connectedAsUser)).rejects.toMatchObject({
        code: 'ERR_ATTEST_PROCESS_CHANGED',
      });
    },
  );
});

describe('the executable', () => {
  it('is the one that runs at that moment (WLEP-9)', async () => {
    const child = await start(SHELL, ['-c', 'read line; echo; exec sleep 60']);
    expect(only(await attest(child), 'path')).toEqual([`unix:path:${SHELL}`]);
    await child.say('go');
    while (readFileSync(`/proc/${child.pid}/comm`, 'utf8') !== 'sleep\n') await attest(child);
    expect(child.isAlive()).toBe(true);
    const texts = await attest(child);
    expect(only(texts, 'path')).toEqual([`unix:path:${SLEEP}`]);
    expect(only(texts, 'sha256')).toEqual([`unix:sha256:${digest(SLEEP)}`]);
  });

  it('keeps its path and digest when it is deleted or replaced', async () => {
    const program = join(folder, 'program');
    copyFileSync(SLEEP, program);
    const child = await start(program, ['60']);
    const before = await attest(child);
    expect(only(before, 'path')).toEqual([`unix:path:${program}`]);
    copyFileSync(SHELL, `${program}.new`);
    renameSync(`${program}.new`, program);
    expect(await attest(child)).toEqual(before);
    rmSync(program);
    expect(await attest(child)).toEqual(before);
  });

  it('may be called anything, and so may the process', async () => {
    const program = join(folder, 'a) R 1 (b\n2');
    copyFileSync(SLEEP, program);
    const child = await start(program, ['60']);
    expect(only(await attest(child), 'path')).toEqual([`unix:path:${program}`]);
  });

  it('is a real path though its name ends as that of a deleted file', async () => {
    const program = join(folder, 'program (deleted)');
    copyFileSync(SLEEP, program);
    const child = await start(program, ['60']);
    expect(only(await attest(child), 'path')).toEqual([`unix:path:${program}`]);
  });

  it.runIf(canUnshare)('has no path where a mount namespace makes it up', async () => {
    const real = join(folder, 'real');
    const mine = join(folder, 'mine');
    mkdirSync(real);
    mkdirSync(mine);
    copyFileSync(SLEEP, join(real, 'program'));
    copyFileSync(SHELL, join(mine, 'program'));
    const script = `mount --bind ${mine} ${real} && exec ${real}/program -c 'read a; echo; read b'`;
    const child = await start('unshare', ['-m', SHELL, '-c', script]);
    await child.say('go');
    expect(only(await attest(child), 'path')).toEqual([]);
    expect(only(await attest(child), 'sha256')).toEqual([`unix:sha256:${digest(SHELL)}`]);
    rmSync(join(mine, 'program'));
    expect(only(await attest(child), 'path')).toEqual([]);
  });

  it.runIf(canUnshare)(
    'has its path in a mount namespace that only hides other things',
    async () => {
      const script = `mount -t tmpfs none ${folder} && exec ${SHELL} -c 'read a; echo; read b'`;
      const child = await start('unshare', ['-m', SHELL, '-c', script]);
      await child.say('go');
      expect(only(await attest(child), 'path')).toEqual([`unix:path:${SHELL}`]);
    },
  );
});

describe('a process that ends', () => {
  it('is refused (WLEP-9)', async () => {
    const child = await start(SLEEP, ['60']);
    await child.stop();
    await expect(attest(child)).rejects.toMatchObject({ code: 'ERR_ATTEST_PROCESS_GONE' });
  });

  it('is refused when it ends while it is read (WLEP-9)', async () => {
    const child = await start(SLEEP, ['60']);
    const attesting = attest(child);
    process.kill(child.pid, 'SIGKILL');
    while (child.isAlive()) {}
    await expect(attesting).rejects.toMatchObject({ code: 'ERR_ATTEST_PROCESS_GONE' });
  });

  it('is refused while its parent has not waited for it', async () => {
    const parent = await start(SHELL, ['-c', 'read a; sleep 60 & echo $!; exec sleep 60']);
    const pid = Number(await parent.say('go'));
    // A shell might wait for its child; `sleep` waits for none.
    while (!readFileSync(`/proc/${parent.pid}/comm`, 'latin1').startsWith('sleep')) {}
    process.kill(pid, 'SIGKILL');
    while (!readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') Z ')) {}
    const { uid, gid } = parent;
    const zombie = { pid, uid, gid, startTime: readStartTime(pid), isAlive: () => true };
    await expect(attest(zombie)).rejects.toMatchObject({ code: 'ERR_ATTEST_PROCESS_GONE' });
  });
});
