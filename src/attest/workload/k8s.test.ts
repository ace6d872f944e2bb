import { rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../../../test/fakes/fake-clock.ts';
import { FakeProc } from '../../../test/fakes/fake-proc.ts';
import { Flood } from '../../../test/fakes/flood.ts';
import { type FakeKubelet, openKubelet, podOf } from '../../../test/fakes/kubelet.ts';
import { createMetrics } from '../../ops/index.ts';
import { formatSelector } from '../../spiffe/index.ts';
import { createK8sAttestor } from './k8s.ts';
import type { KubeletOptions } from './kubelet.ts';
import { createQuestionMetrics } from './questions.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

const A = 'a'.repeat(64);
const B = 'b'.repeat(64);
const UID = 'a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80';
const OTHER_UID = 'b2830d0d-b0f0-4ff0-81b5-0ee4e299cf80';
const MINE = 20;
const DIGEST = `@sha256:${'5'.repeat(64)}`;

let kubelet: FakeKubelet;
let proc: FakeProc;
let clock: FakeClock;

beforeEach(async () => {
  kubelet = await openKubelet();
  proc = new FakeProc();
  clock = new FakeClock();
  proc.set('self', '0::/system.slice/trustplane-agent.service\n');
  proc.set(MINE, `0::/kubepods/burstable/pod${UID}/${A}\n`);
  kubelet.pods = [podOf({ uid: UID, containers: [A], initContainers: [B] })];
});

afterEach(async () => {
  await kubelet[Symbol.asyncDispose]();
});

function open(tls: Partial<NonNullable<KubeletOptions['tls']>> = {}): WorkloadAttestor {
  const { port, caFile, tokenFile } = kubelet;
  return openWith({
    host: '127.0.0.1',
    port,
    tls: { serverName: 'node-1', caFile, credentials: { tokenFile }, ...tls },
  });
}

function openWith(kubelet: KubeletOptions): WorkloadAttestor {
  return createK8sAttestor({
    kubelet,
    timeoutMs: 2_000,
    clock,
    metrics: createQuestionMetrics(createMetrics()),
    proc,
  });
}

async function attest(attestor = open(), again = () => {}, isAlive = () => true) {
  const process = { pid: MINE, uid: 1000, gid: 1000, startTime: '100', isAlive };
  return (await attestor.attest(process, again)).map(formatSelector).sort();
}

/** Lets half a second pass so often, each time when nobody waits for the kubelet. */
async function polls(count: number): Promise<void> {
  for (let poll = 0; poll < count; poll += 1) {
    while (clock.timers !== 1) await settle();
    clock.advance(500);
  }
}

describe('k8s attestor', () => {
  it('gives the selectors that SPIRE names', async () => {
    expect(await attest()).toEqual([
      'k8s:container-image:registry.example/main:1',
      `k8s:container-image:registry.example/main${DIGEST}`,
      'k8s:container-name:main-0',
      'k8s:node-name:node-1',
      'k8s:ns:shop',
      'k8s:pod-image-count:1',
      'k8s:pod-image:registry.example/main:1',
      `k8s:pod-image:registry.example/main${DIGEST}`,
      'k8s:pod-init-image-count:1',
      'k8s:pod-init-image:registry.example/init:1',
      `k8s:pod-init-image:registry.example/init${DIGEST}`,
      'k8s:pod-label:app:web',
      'k8s:pod-name:web-5d9c7b',
      'k8s:pod-owner-uid:ReplicaSet:owner-uid',
      'k8s:pod-owner:ReplicaSet:web-5d9c',
      `k8s:pod-uid:${UID}`,
      'k8s:sa:web',
    ]);
  });

  it('knows init containers', async () => {
    proc.set(MINE, `0::/kubepods/burstable/pod${UID}/${B}\n`);
    expect(await attest()).toContain('k8s:container-name:init-0');
  });

  it('says nothing of processes outside of pods, and asks nobody', async () => {
    proc.set(MINE, `0::/user.slice/kubepods/pod${UID}/${A}\n`);
    expect(await attest()).toEqual([]);
    expect(kubelet.asked).toBe(0);
  });

  it('takes a client certificate', async () => {
    const { certificateFile, privateKeyFile } = kubelet;
    const attestor = open({ credentials: { certificateFile, privateKeyFile } });
    expect(await attest(attestor)).toContain('k8s:ns:shop');
  });

  it('asks once for all who ask at once, and shortly after', async () => {
    const attestor = open();
    await Promise.all([attest(attestor), attest(attestor), attest(attestor)]);
    clock.advance(900);
    await attest(attestor);
    expect(kubelet.asked).toBe(1);
    clock.advance(200);
    await attest(attestor);
    clock.jump(clock.now() - 3_600_000);
    await attest(attestor);
    expect(kubelet.asked).toBe(3);
  });

  it('sees labels that change', async () => {
    const attestor = open();
    await attest(attestor);
    kubelet.pods = [podOf({ uid: UID, containers: [A], labels: { app: 'other' } })];
    clock.advance(1_000);
    expect(await attest(attestor)).toContain('k8s:pod-label:app:other');
  });

  it('waits for a pod that is not listed yet', async () => {
    const [pod] = kubelet.pods;
    kubelet.pods = [];
    const attesting = attest();
    await kubelet.requests(1);
    kubelet.pods = pod === undefined ? [] : [pod];
    await polls(2);
    expect(await attesting).toContain('k8s:ns:shop');
  });

  it('says that a pod is not listed, and looks again', async () => {
    kubelet.pods = [];
    const calls: string[] = [];
    const attesting = attest(open(), () => void calls.push('again'));
    const refused = attesting.catch(String);
    await polls(4);
    expect(await refused).toContain(`lists neither container ${A} nor its pod ${UID} yet`);
    clock.advance(10_000);
    expect(calls).toEqual(['again']);
  });

  it('gives what is known of the pod where the container is not listed', async () => {
    kubelet.pods = [podOf({ uid: UID, containers: [''] })];
    const attesting = attest();
    await polls(4);
    const texts = await attesting;
    expect(texts).toContain('k8s:pod-name:web-5d9c7b');
    expect(texts.filter((text) => text.startsWith('k8s:container-'))).toEqual([]);
  });

  it('does not wait for a process that has ended', async () => {
    kubelet.pods = [];
    await expect(
      attest(
        open(),
        () => {},
        () => false,
      ),
    ).rejects.toThrow('lists neither');
  });

  it('refuses a container that is listed in another pod, or in two', async () => {
    const refusal = { code: 'ERR_ATTEST_CONTAINER' };
    kubelet.pods = [podOf({ uid: OTHER_UID, containers: [A] }), podOf({ uid: UID })];
    await expect(attest()).rejects.toMatchObject(refusal);
    kubelet.pods = [UID, OTHER_UID].map((uid) => podOf({ uid, containers: [A] }));
    await expect(attest()).rejects.toMatchObject(refusal);
  });

  it('refuses a process that is moved meanwhile', async () => {
    kubelet.intercept = () => {
      proc.set(MINE, '0::/\n');
      return false;
    };
    await expect(attest()).rejects.toMatchObject({ code: 'ERR_ATTEST_CONTAINER' });
  });

  it('leaves out a pod that is not understood, and no other', async () => {
    kubelet.pods = [{ metadata: { name: 7 } }, ...kubelet.pods, {}];
    expect(await attest()).toContain('k8s:ns:shop');
  });
});

describe('a kubelet', () => {
  it('has to have the name of the node', async () => {
    await expect(attest(open({ serverName: 'node-2' }))).rejects.toMatchObject({
      code: 'ERR_ATTEST_UNREACHABLE',
      message: expect.stringContaining("does not match certificate's altnames"),
    });
  });

  it('has to be of the authority, unless nobody cares', async () => {
    const other = await openKubelet();
    await expect(attest(open({ caFile: other.caFile }))).rejects.toThrow('certificate');
    await other[Symbol.asyncDispose]();
    writeFileSync(kubelet.caFile, '');
    await expect(attest()).rejects.toThrow('has no certificate');
    expect(kubelet.asked).toBe(0);
    expect(await attest(open({ caFile: undefined }))).toContain('k8s:ns:shop');
  });

  it('is told the token that the file has now', async () => {
    const attestor = open();
    writeFileSync(kubelet.tokenFile, 'another');
    await expect(attest(attestor)).rejects.toThrow('status 401: it does not know the token');
    writeFileSync(kubelet.tokenFile, 'two\r\nlines: x');
    await expect(attest(attestor)).rejects.toThrow('has no bearer token');
    rmSync(kubelet.tokenFile);
    await expect(attest(attestor)).rejects.toThrow('token, for the kubelet, is not there');
    writeFileSync(kubelet.tokenFile, 'eyJhbGciOi.the.token');
    kubelet.isAllowed = false;
    await expect(attest(attestor)).rejects.toThrow('the agent may not get nodes/proxy');
    kubelet.isAllowed = true;
    expect(await attest(attestor)).toContain('k8s:ns:shop');
  });

  it('that is not there is told of', async () => {
    const other = await openKubelet();
    const { port } = other;
    await other[Symbol.asyncDispose]();
    const kubeletOptions = { host: '127.0.0.1', port, tls: undefined };
    await expect(attest(openWith(kubeletOptions))).rejects.toThrow(
      `the kubelet at 127.0.0.1:${port} cannot be asked: connect ECONNREFUSED`,
    );
  });

  it.each([
    ['no JSON', 'hello'],
    ['another object', '{"kind":"Status","items":[]}'],
    ['a list', '[]'],
    ['too deep', '['.repeat(1_000_000)],
  ])('is not believed: %s', async (_what, body) => {
    kubelet.intercept = (response) => {
      response.end(body);
      return true;
    };
    await expect(attest()).rejects.toMatchObject({ code: 'ERR_ATTEST_ANSWER' });
  });

  it('is read up to 16 megabytes of 100', async () => {
    const flood = new Flood(' ');
    kubelet.intercept = (response) => flood.answer(response);
    await expect(attest()).rejects.toThrow('over 16777216 bytes');
    await flood.closed;
    expect(flood.sent).toBeLessThan(40 * 2 ** 20);
  });

  it('of a million labels is refused for that pod', async () => {
    const labels = Object.fromEntries(Array.from({ length: 300_000 }, (_, at) => [`l${at}`, '']));
    kubelet.pods = [podOf({ uid: UID, containers: [A], labels })];
    await expect(attest()).rejects.toThrow('300014 selectors of type k8s; at most 1000');
  });

  it('that hangs makes one process wait, and what it says at last is taken up', async () => {
    const held: (() => void)[] = [];
    kubelet.intercept = (response) => {
      held.push(() => response.end(JSON.stringify({ kind: 'PodList', items: kubelet.pods })));
      return true;
    };
    const attestor = open();
    const calls: string[] = [];
    const again = (): void => void calls.push('again');
    const first = attest(attestor, again);
    await kubelet.requests(1);
    clock.advance(2_000);
    await expect(first).rejects.toMatchObject({ code: 'ERR_ATTEST_TIMEOUT' });
    const second = attest(attestor, again);
    await settle();
    clock.advance(250);
    await expect(second).rejects.toThrow('did not answer within 2000 ms');
    held.forEach((answer) => answer());
    while (calls.length < 2) await settle();
    expect(await attest(attestor)).toContain('k8s:ns:shop');
    expect(kubelet.asked).toBe(1);
  });
});
