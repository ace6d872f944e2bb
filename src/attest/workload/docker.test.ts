import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type FakeEngine,
  inspection,
  openContainerEngine,
} from '../../../test/fakes/container-engine.ts';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { FakeProc } from '../../../test/fakes/fake-proc.ts';
import { Flood } from '../../../test/fakes/flood.ts';
import { createMetrics, silentLog } from '../../ops/index.ts';
import { formatSelector } from '../../spiffe/index.ts';
import { createDockerAttestor, type DockerAttestorOptions } from './docker.ts';
import { createQuestionMetrics } from './questions.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const FIRST = 10;
const MINE = 20;

let engine: FakeEngine;
let proc: FakeProc;
let clock: FakeClock;
let docker: WorkloadAttestor;

beforeEach(async () => {
  engine = await openContainerEngine();
  proc = new FakeProc();
  clock = new FakeClock();
  docker = open();
  proc.set(FIRST, `0::/docker/${A}\n`);
  proc.set(MINE, `0::/docker/${A}\n`);
  engine.containers.set(A, { pid: FIRST });
});

afterEach(async () => {
  await engine[Symbol.asyncDispose]();
});

function open(options: Partial<DockerAttestorOptions> = {}): WorkloadAttestor {
  return createDockerAttestor({
    socket: engine.socketPath,
    podmanSocket: '/nowhere/podman.sock',
    rootlessSocket: '/nowhere/%d/podman.sock',
    rootlessUids: [],
    env: [],
    timeoutMs: 2_000,
    log: silentLog,
    metrics: createQuestionMetrics(createMetrics()),
    clock,
    proc,
    ...options,
  });
}

async function attest(attestor = docker, again = () => {}, pid = MINE): Promise<string[]> {
  const process = { pid, uid: 1000, gid: 1000, startTime: '100', isAlive: () => true };
  return (await attestor.attest(process, again)).map(formatSelector).sort();
}

/** Lets a tenth of a second pass so often, each time when nobody waits for the engine. */
async function starts(count: number): Promise<void> {
  for (let start = 0; start < count; start += 1) {
    while (clock.timers !== 3) await settle();
    clock.advance(100);
  }
}

describe('docker attestor', () => {
  it('gives the selectors that SPIRE names', async () => {
    engine.containers.set(A, {
      pid: FIRST,
      labels: { app: 'web', 'com.example/tier': '', __proto__x: 'y' },
      env: ['ROLE=front', 'SECRET=x', 'ROLES=no'],
      image: 'registry.example/web:1',
    });
    expect(await attest(open({ env: ['ROLE'] }))).toEqual([
      'docker:env:ROLE=front',
      `docker:image_config_digest:sha256:${'5'.repeat(64)}`,
      'docker:image_id:registry.example/web:1',
      'docker:label:__proto__x:y',
      'docker:label:app:web',
      'docker:label:com.example/tier:',
    ]);
  });

  it('gives none of the variables unless told which', async () => {
    expect((await attest()).filter((text) => text.startsWith('docker:env'))).toEqual([]);
  });

  it('says nothing of processes outside of containers, and asks nobody', async () => {
    proc.set(MINE, '0::/user.slice\n');
    expect(await attest()).toEqual([]);
    expect(engine.asked).toEqual([]);
  });

  it('says nothing of containers that the engine does not run', async () => {
    proc.set(MINE, `0::/docker/${B}\n`);
    expect(await attest()).toEqual([]);
  });

  it('takes the container that the engine knows where containers are nested', async () => {
    proc.set(FIRST, `0::/docker/${B}/docker/${A}\n`);
    proc.set(MINE, `0::/docker/${B}/docker/${A}\n`);
    expect(await attest()).toContain('docker:label:app:web');
    engine.containers.set(B, { pid: 11, labels: { app: 'outer' } });
    proc.set(11, `0::/docker/${B}\n`);
    expect(await attest()).toContain('docker:label:app:outer');
  });

  it('refuses a process whose cgroup is only named as the container', async () => {
    const refusal = { code: 'ERR_ATTEST_CONTAINER' };
    proc.set(MINE, `0::/elsewhere/docker-${A}.scope\n`);
    await expect(attest()).rejects.toMatchObject(refusal);
    proc.set(MINE, `0::/docker/${B}/docker/${A}\n`);
    await expect(attest()).rejects.toMatchObject(refusal);
    // The same once the container is known.
    proc.set(MINE, `0::/docker/${A}\n`);
    await attest();
    proc.set(MINE, `0::/elsewhere/docker-${A}.scope\n`);
    await expect(attest()).rejects.toMatchObject(refusal);
  });

  it('refuses where the first process of the container is elsewhere itself', async () => {
    proc.set(FIRST, '0::/\n');
    await expect(attest()).rejects.toMatchObject({ code: 'ERR_ATTEST_CONTAINER' });
  });

  it('believes no engine of a user who is not listed', async () => {
    const cgroup = `0::/user.slice/user-1000.slice/user@1000.service/libpod-${A}.scope\n`;
    proc.set(FIRST, cgroup);
    proc.set(MINE, cgroup);
    expect(await attest(open({ podmanSocket: engine.socketPath }))).toEqual([]);
    const rootlessSocket = engine.socketPath.replace('engine', '%d');
    expect(await attest(open({ rootlessSocket, rootlessUids: [7] }))).toEqual([]);
    expect(engine.asked).toEqual([]);
    const listed = open({ rootlessSocket: engine.socketPath, rootlessUids: [1000] });
    expect(await attest(listed)).toContain('docker:label:app:web');
  });

  it("asks root's Podman for its own", async () => {
    const cgroup = `0::/machine.slice/libpod-${A}.scope/container\n`;
    proc.set(FIRST, cgroup);
    proc.set(MINE, cgroup);
    const podman = open({ socket: '/nowhere', podmanSocket: engine.socketPath });
    expect(await attest(podman)).toContain('docker:label:app:web');
  });

  it('leaves out what no entry could ask for', async () => {
    engine.containers.set(A, {
      pid: FIRST,
      labels: { a: 'x\ny', b: 'x'.repeat(5_000), c: 'fine' },
      image: '',
      imageDigest: 'whatever',
    });
    expect(await attest()).toEqual(['docker:label:c:fine']);
  });
});

describe('what is known of a container', () => {
  it('holds while its first process lives', async () => {
    await attest();
    const { length } = engine.asked;
    engine.containers.set(A, { pid: FIRST, labels: { app: 'other' } });
    expect(await attest()).toContain('docker:label:app:web');
    expect(engine.asked).toHaveLength(length);
  });

  it('is asked for again after a restart', async () => {
    await attest();
    engine.containers.set(A, { pid: 30, labels: { app: 'other' }, startedAt: 'later' });
    proc.processes.delete(FIRST);
    proc.set(30, `0::/docker/${A}\n`);
    expect(await attest()).toContain('docker:label:app:other');
  });

  it('is remembered as long as what is remembered has 32 MiB', async () => {
    const env = [`BIG=${'x'.repeat(1_000_000)}`];
    const ids = Array.from({ length: 34 }, (_, index) => String(index).padStart(64, '0'));
    const find = async (id: string): Promise<number> => {
      engine.containers.set(id, { pid: FIRST, env });
      proc.set(FIRST, `0::/docker/${id}\n`);
      proc.set(MINE, `0::/docker/${id}\n`);
      const { length } = engine.asked;
      await attest();
      return engine.asked.length - length;
    };
    for (const id of ids) expect(await find(id)).toBe(2);
    expect(await find(ids[33] ?? '')).toBe(0);
    expect(await find(ids[0] ?? '')).toBe(2);
  });

  it('is asked for again when the pid is of another process', async () => {
    await attest();
    proc.set(FIRST, '0::/\n', '999');
    engine.containers.delete(A);
    expect(await attest()).toEqual([]);
  });

  it('is asked for once by all who ask at once', async () => {
    await Promise.all([attest(), attest(), attest()]);
    expect(engine.asked).toHaveLength(2);
  });

  it('is waited for when the engine is behind', async () => {
    engine.containers.set(A, { pid: FIRST, isRunning: false });
    const attesting = attest();
    await engine.requests(1);
    engine.containers.set(A, { pid: FIRST });
    await starts(1);
    expect(await attesting).toContain('docker:label:app:web');
  });

  it.each([
    ['starts again', (count: number) => ({ pid: FIRST, startedAt: String(count) })],
    ['has another first process', (count: number) => ({ pid: count === 1 ? FIRST : MINE })],
  ])('is not taken of a container that %s while it is read', async (_, read) => {
    let count = 0;
    engine.intercept = (response) => {
      count += 1;
      const container = count < 4 ? read(count) : { pid: FIRST };
      response.end(JSON.stringify(inspection(A, container)));
      return true;
    };
    const attesting = attest();
    await starts(2);
    expect(await attesting).toContain('docker:label:app:web');
    expect(count).toBe(6);
  });
});

describe('an engine that does harm', () => {
  it('makes one process wait when it hangs, and the others not', async () => {
    let isHanging = true;
    const held: (() => void)[] = [];
    engine.intercept = (response) => {
      if (isHanging) held.push(() => response.end(JSON.stringify(inspection(A, { pid: FIRST }))));
      return isHanging;
    };
    const calls: string[] = [];
    const again = (): void => void calls.push('again');
    const first = attest(docker, again);
    await engine.requests(1);
    clock.advance(2_000);
    await expect(first).rejects.toMatchObject({ code: 'ERR_ATTEST_TIMEOUT' });
    const second = attest(docker, again);
    clock.advance(250);
    await expect(second).rejects.toMatchObject({ code: 'ERR_ATTEST_TIMEOUT' });
    expect(calls).toEqual([]);
    isHanging = false;
    held.forEach((answer) => answer());
    while (calls.length < 2) await settle();
    expect(await attest()).toContain('docker:label:app:web');
  });

  it('is waited for as before once it is well again', async () => {
    engine.intercept = () => true;
    const first = attest();
    await engine.requests(1);
    clock.advance(2_000);
    await expect(first).rejects.toMatchObject({ code: 'ERR_ATTEST_TIMEOUT' });
    await clock.advanceAsync(60_000);
    engine.intercept = () => false;
    expect(await attest()).toContain('docker:label:app:web');
  });

  it('is given up after half a minute, and asked again', async () => {
    engine.intercept = () => true;
    const calls: string[] = [];
    const attesting = attest(docker, () => void calls.push('again'));
    await engine.requests(1);
    clock.advance(2_000);
    await expect(attesting).rejects.toMatchObject({ code: 'ERR_ATTEST_TIMEOUT' });
    await clock.advanceAsync(28_000);
    while (calls.length === 0) await clock.advanceAsync(1_000);
    engine.intercept = () => false;
    expect(await attest()).toContain('docker:label:app:web');
    await settle();
    expect(clock.timers).toBe(0);
  });

  it.each([
    ['no JSON', 'hello'],
    ['another container', JSON.stringify(inspection(B, { pid: FIRST }))],
    ['a list', '[]'],
    ['two of one name', `{"Id":"${A}","Id":"${A}"}`],
    [
      'labels that are a list',
      JSON.stringify({ ...inspection(A, { pid: FIRST }), Config: { Labels: [] } }),
    ],
    ['no state', JSON.stringify({ ...inspection(A, { pid: FIRST }), State: null })],
    ['too deep', '['.repeat(100_000)],
  ])('is not believed: %s', async (_what, body) => {
    engine.intercept = (response) => {
      response.end(body);
      return true;
    };
    await expect(attest()).rejects.toMatchObject({ code: 'ERR_ATTEST_ANSWER' });
  });

  it('is read up to a megabyte of 100', async () => {
    const flood = new Flood('x');
    engine.intercept = (response) => flood.answer(response);
    await expect(attest()).rejects.toMatchObject({
      code: 'ERR_ATTEST_ANSWER',
      message: expect.stringContaining('over 1048576 bytes'),
    });
    await flood.closed;
    expect(flood.sent).toBeLessThan(10 * 2 ** 20);
  });

  it('gives no selectors where there are too many', async () => {
    const labels = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, index) => [`l${index}`, '']),
    );
    engine.containers.set(A, { pid: FIRST, labels });
    await expect(attest()).rejects.toThrow('it has 20000 labels; at most 1000 are allowed');
    // It is not remembered, either.
    engine.containers.set(A, { pid: FIRST });
    expect(await attest()).toContain('docker:label:app:web');
  });

  it('is told of when it refuses or is not there, and asked again', async () => {
    let calls = 0;
    engine.intercept = (response) => {
      response.statusCode = 500;
      response.end();
      return true;
    };
    await expect(attest(docker, () => void (calls += 1))).rejects.toThrow('status 500');
    clock.advance(10_000);
    expect(calls).toBe(1);
    const missing = attest(open({ socket: '/nowhere/docker.sock' }));
    await expect(missing).rejects.toMatchObject({
      code: 'ERR_ATTEST_UNREACHABLE',
      message: expect.stringContaining('/nowhere/docker.sock cannot be asked: connect ENOENT'),
    });
  });
});
