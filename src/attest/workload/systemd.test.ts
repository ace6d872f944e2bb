import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { FakeProc } from '../../../test/fakes/fake-proc.ts';
import { createRunFolder, type RunFolder } from '../../../test/programs/run-folder.ts';
import { createMetrics, silentLog } from '../../ops/index.ts';
import { formatSelector } from '../../spiffe/index.ts';
import { parseCgroups } from './cgroup.ts';
import { createQuestionMetrics } from './questions.ts';
import { createSystemdAttestor } from './systemd.ts';
import { findUnit } from './systemd-unit.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

const unit = (text: string) => findUnit(parseCgroups(text));

describe('the unit of a process', () => {
  it.each([
    ['0::/system.slice/nginx.service', 'nginx.service', '/system.slice/nginx.service'],
    ['0::/init.scope', 'init.scope', '/init.scope'],
    [
      '0::/system.slice/system-getty.slice/getty@tty1.service',
      'getty@tty1.service',
      '/system.slice/system-getty.slice/getty@tty1.service',
    ],
    ['0::/system.slice/_cpu.service', 'cpu.service', '/system.slice/_cpu.service'],
    ['0::/my.slice/x.service/child/y.service', 'x.service', '/my.slice/x.service'],
    [
      '0::/user.slice/user-1000.slice/session-3.scope',
      'session-3.scope',
      '/user.slice/user-1000.slice/session-3.scope',
    ],
    [
      '0::/user.slice/user-1000.slice/user@1000.service/app.slice/nginx.service',
      'user@1000.service',
      '/user.slice/user-1000.slice/user@1000.service',
    ],
    [
      '2:pids:/elsewhere\n1:name=systemd:/system.slice/a.service\n0::/',
      'a.service',
      '/system.slice/a.service',
    ],
  ])('is found in %j', (text, id, cgroup) => expect(unit(text)).toEqual({ id, cgroup }));

  it.each([
    '0::/',
    '0::/system.slice',
    '0::/docker/nginx.service',
    '0::/system.slice/nginx',
    '0::/system.slice/nginx.service (deleted)',
    '0::/system.slice/a*.service',
    '2:pids:/system.slice/nginx.service',
  ])('is none in %j', (text) => expect(unit(text)).toBeUndefined());

  it('is not guessed from within a cgroup namespace', () => {
    expect(() => unit('0::/../nginx.service')).toThrow('cgroup namespace');
  });
});

describe('systemd attestor', () => {
  let folder: RunFolder;
  let proc: FakeProc;
  let clock: FakeClock;
  const MINE = 20;
  const CGROUP = '/system.slice/nginx.service';
  const FILE = '/lib/systemd/system/nginx.service';

  beforeEach(() => {
    folder = createRunFolder();
    proc = new FakeProc();
    clock = new FakeClock();
    proc.set(MINE, `0::${CGROUP}\n`);
  });
  afterEach(async () => await folder.remove());

  /** A program in the place of systemctl; it notes what it was asked. */
  function program(script: string): string {
    const file = path.join(folder.path, 'systemctl');
    const asked = path.join(folder.path, 'asked');
    writeFileSync(file, `#!/bin/sh\necho "$@" >>${asked}\n${script}\n`);
    chmodSync(file, 0o755);
    return file;
  }
  const says = (cgroup = CGROUP, file = FILE): string =>
    `printf 'Id=nginx.service\\nControlGroup=${cgroup}\\nFragmentPath=${file}\\n'`;
  const asked = (): string[] =>
    readFileSync(path.join(folder.path, 'asked'), 'utf8').trim().split('\n');

  const open = (systemctl: string | undefined): WorkloadAttestor =>
    createSystemdAttestor({
      systemctl,
      timeoutMs: 2_000,
      log: silentLog,
      clock,
      metrics: createQuestionMetrics(createMetrics()),
      proc,
    });
  async function attest(attestor: WorkloadAttestor, again = () => {}) {
    const process = { pid: MINE, uid: 1, gid: 1, startTime: '100', isAlive: () => true };
    return (await attestor.attest(process, again)).map(formatSelector);
  }

  it('gives the selectors that SPIRE names, and asks once for a while', async () => {
    const attestor = open(program(says()));
    const selectors = ['systemd:id:nginx.service', `systemd:fragment_path:${FILE}`];
    expect(await attest(attestor)).toEqual(selectors);
    expect(await attest(attestor)).toEqual(selectors);
    expect(asked()).toEqual([
      'show --no-pager --property=Id,ControlGroup,FragmentPath -- nginx.service',
    ]);
    clock.advance(10_000);
    await attest(attestor);
    expect(asked()).toHaveLength(2);
  });

  it('says nothing of processes of no unit', async () => {
    proc.set(MINE, '0::/docker/x\n');
    expect(await attest(open('/nowhere'))).toEqual([]);
  });

  it('does without the file of a unit that has none, or where nobody is asked', async () => {
    expect(await attest(open(program(says(CGROUP, ''))))).toEqual(['systemd:id:nginx.service']);
    expect(await attest(open(undefined))).toEqual(['systemd:id:nginx.service']);
  });

  it.each([
    ['is not there', undefined],
    ['fails', 'echo System has not been booted >&2; exit 1'],
    ['prints something else', 'echo hello'],
    ['prints two of one', `${says()}; ${says()}`],
    ['prints without end', 'yes'],
  ])('gives the unit where systemctl %s, and asks later', async (_what, script) => {
    const calls: string[] = [];
    const systemctl = script === undefined ? '/nowhere/systemctl' : program(script);
    const again = (): void => void calls.push('again');
    expect(await attest(open(systemctl), again)).toEqual(['systemd:id:nginx.service']);
    clock.advance(10_000);
    expect(calls).toEqual(['again']);
  });

  it('gives the unit where systemctl hangs, and takes up what it says late', async () => {
    const go = path.join(folder.path, 'go');
    const attestor = open(program(`until test -e ${go}; do sleep 0.05; done\n${says()}`));
    const calls: string[] = [];
    const attesting = attest(attestor, () => void calls.push('again'));
    clock.advance(2_000);
    expect(await attesting).toEqual(['systemd:id:nginx.service']);
    writeFileSync(go, '');
    while (calls.length === 0) await settle();
    expect(await attest(attestor)).toContain(`systemd:fragment_path:${FILE}`);
  });

  it('refuses where systemd has the unit elsewhere than the kernel', async () => {
    const refusal = { code: 'ERR_ATTEST_CONTAINER' };
    await expect(attest(open(program(says('/other.service'))))).rejects.toMatchObject(refusal);
  });
});
