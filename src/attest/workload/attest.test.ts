import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { createMetrics, readStartTime, silentLog } from '../../ops/index.ts';
import { type Selector, TrustplaneError } from '../../spiffe/index.ts';
import { createWorkloadAttestation } from './attest.ts';
import type { AttestableProcess, WorkloadAttestor } from './workload-attestor.ts';

const uid: Selector = { type: 'unix', value: 'uid:1' };
const image: Selector = { type: 'docker', value: 'image:a' };

class FakeProcess implements AttestableProcess {
  readonly pid: number = process.pid;
  readonly uid: number = 1;
  readonly gid: number = 1;
  startTime: string = readStartTime(process.pid);
  alive = true;

  isAlive(): boolean {
    return this.alive;
  }
}

const attestor = (name: string, attest: WorkloadAttestor['attest']): WorkloadAttestor => ({
  name,
  attest,
});
const unix = attestor('unix', () => Promise.resolve([uid]));

function attestation(
  attestors: WorkloadAttestor[],
  clock = new FakeClock(),
  metrics = createMetrics(),
) {
  return createWorkloadAttestation({ attestors, clock, metrics, log: silentLog, timeoutMs: 5_000 });
}

describe('attest', () => {
  it('joins what all attestors find', async () => {
    const docker = attestor('docker', () => Promise.resolve([image]));
    const selectors = await attestation([unix, docker]).attest(new FakeProcess());
    expect(selectors.texts).toEqual(['docker:image:a', 'unix:uid:1']);
  });

  it('refuses a dead process before anything is read (WLEP-9)', async () => {
    let asked = false;
    const watched = attestor('unix', () => {
      asked = true;
      return Promise.resolve([uid]);
    });
    const dead = new FakeProcess();
    dead.alive = false;
    await expect(attestation([watched]).attest(dead)).rejects.toMatchObject({
      code: 'ERR_ATTEST_PROCESS_GONE',
    });
    expect(asked).toBe(false);
  });

  it('refuses a process that dies while it is attested (WLEP-9)', async () => {
    const dying = new FakeProcess();
    const slow = attestor('unix', () => {
      dying.alive = false;
      return Promise.resolve([uid]);
    });
    await expect(attestation([slow]).attest(dying)).rejects.toMatchObject({
      code: 'ERR_ATTEST_PROCESS_GONE',
    });
  });

  it('refuses a process whose pid is of another process now (WLEP-9)', async () => {
    const replaced = new FakeProcess();
    replaced.startTime = '1';
    await expect(attestation([unix]).attest(replaced)).rejects.toMatchObject({
      code: 'ERR_ATTEST_PROCESS_GONE',
    });
  });

  it('refuses everything when one attestor finds another process', async () => {
    const changed = attestor('docker', () =>
      Promise.reject(new TrustplaneError('ERR_ATTEST_PROCESS_CHANGED', 'it is another')),
    );
    await expect(attestation([unix, changed]).attest(new FakeProcess())).rejects.toMatchObject({
      code: 'ERR_ATTEST_PROCESS_CHANGED',
    });
  });

  it('goes without an attestor that fails, and counts it', async () => {
    const metrics = createMetrics();
    const broken = attestor('docker', () => Promise.reject(new Error('no daemon')));
    const selectors = await attestation([unix, broken], new FakeClock(), metrics).attest(
      new FakeProcess(),
    );
    expect(selectors.texts).toEqual(['unix:uid:1']);
    expect(await metrics.render()).toContain(
      'trustplane_attest_failures_total{attestor="docker"} 1',
    );
  });

  it('goes without an attestor that takes too long', async () => {
    const clock = new FakeClock();
    const hanging = attestor('docker', () => new Promise(() => {}));
    const attesting = attestation([unix, hanging], clock).attest(new FakeProcess());
    await settle();
    clock.advance(5_000);
    expect((await attesting).texts).toEqual(['unix:uid:1']);
    expect(clock.timers).toBe(0);
  });

  it('gives an attestor the time that it says it takes', async () => {
    const clock = new FakeClock();
    const slow = { ...attestor('k8s', () => new Promise<never>(() => {})), timeoutMs: 7_000 };
    const attesting = attestation([unix, slow], clock).attest(new FakeProcess());
    let isDone = false;
    void attesting.then(() => (isDone = true));
    await clock.advanceAsync(6_999);
    expect(isDone).toBe(false);
    await clock.advanceAsync(1);
    expect((await attesting).texts).toEqual(['unix:uid:1']);
  });

  it('fails when no attestor could tell anything', async () => {
    const broken = attestor('unix', () => Promise.reject(new Error('no /proc')));
    await expect(attestation([broken]).attest(new FakeProcess())).rejects.toMatchObject({
      code: 'ERR_ATTEST_FAILED',
    });
  });

  it('attests once for calls of one turn, and anew for the next', async () => {
    let times = 0;
    const counting = attestor('unix', () => {
      times += 1;
      return Promise.resolve([uid]);
    });
    const { attest } = attestation([counting]);
    const one = new FakeProcess();
    await Promise.all([attest(one), attest(one), attest(new FakeProcess())]);
    expect(times).toBe(2);
    const first = attest(one);
    await Promise.resolve();
    await Promise.all([first, attest(one)]);
    expect(times).toBe(4);
  });

  it('reports what each attestor says, with its time and its fault', async () => {
    const clock = new FakeClock();
    const slow = attestor('docker', () => new Promise(() => {}));
    const broken = attestor('k8s', () => Promise.reject(new Error('no kubelet')));
    const report = attestation([unix, slow, broken], clock).report(new FakeProcess());
    await settle();
    clock.advance(5_000);
    const found = { selectors: [], tookMs: 0 };
    expect(await report).toEqual([
      { ...found, attestor: 'unix', selectors: [uid], fault: undefined, faultCode: undefined },
      {
        ...found,
        attestor: 'docker',
        fault: 'it took more than 5000 ms',
        faultCode: 'ERR_ATTEST_TIMEOUT',
        tookMs: 5_000,
      },
      { ...found, attestor: 'k8s', fault: 'no kubelet', faultCode: 'ERR_ATTEST_FAILED' },
    ]);
  });

  it('reports of a process that is gone that it is', async () => {
    const gone = new FakeProcess();
    gone.alive = false;
    expect(await attestation([unix]).report(gone)).toMatchObject([
      { selectors: [], faultCode: 'ERR_ATTEST_PROCESS_GONE' },
    ]);
  });
});
