import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type FakeKubelet, openKubelet, podOf } from '../fakes/kubelet.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { makeCgroup } from '../programs/made-cgroup.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const HOST = 'spiffe://example.org/host';
const POD = 'spiffe://example.org/ns/shop/sa/web';
const UNIT = 'spiffe://example.org/unit';
const UID = 'a2830d0d-b0f0-4ff0-81b5-0ee4e299cf80';
const ID = 'a'.repeat(64);
const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

const stack = new AsyncDisposableStack();
let kubelet: FakeKubelet;
let trustplane: RunningTrustplane;

beforeAll(async () => {
  kubelet = stack.use(await openKubelet());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const systemctl = path.join(folder.path, 'systemctl');
  const unit = `Id=tp-drill.service\\nControlGroup=/system.slice/tp-drill.service\\nFragmentPath=/drill\\n`;
  writeFileSync(systemctl, `#!/bin/sh\nprintf '${unit}'\n`);
  chmodSync(systemctl, 0o755);
  const config = path.join(folder.path, 'trustplane.yaml');
  const { port, tokenFile } = kubelet;
  // The certificate is of node-1, which is no name here; who it is judged by is shown elsewhere.
  const k8s = { enabled: true, port, tokenFile, skipVerification: true, timeout: '500ms' };
  const systemd = { enabled: true, systemctl };
  writeFileSync(config, JSON.stringify({ agent: { workloadAttestors: { k8s, systemd } } }));
  trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  await trustplane.createEntry(HOST, '--selector', 'unix:uid:0');
  await trustplane.createEntry(POD, '--selector', 'k8s:ns:shop', '--selector', 'k8s:sa:web');
  const file = ['--selector', 'systemd:fragment_path:/drill'];
  await trustplane.createEntry(UNIT, '--selector', 'systemd:id:tp-drill.service', ...file);
});

afterAll(async () => {
  await stack.disposeAsync();
});

/** A command of `trustplane api`, as a process of that cgroup. */
function startIn(cgroup: string, ...command: readonly string[]) {
  const made = makeCgroup(cgroup);
  const words = [process.execPath, program, 'api', ...command, '--socket', trustplane.socket];
  const child = spawn('/bin/sh', ['-c', `${made.enter} && exec "$@"`, 'sh', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  onTestFinished(async () => {
    child.kill();
    await ended;
    made.remove();
  });
  return { output: child.stdout, ended };
}

async function fetchIn(cgroup: string): Promise<readonly string[]> {
  const { output, ended } = startIn(cgroup, 'fetch', 'x509', '--output', 'json');
  const said = await text(output);
  await ended;
  return [...said.matchAll(/"spiffeId": "([^"]+)"/gu)].map(([, id]) => id ?? '').sort();
}

const pod = `/kubepods/burstable/pod${UID}/${ID}`;

it('a process in a pod has the identity of its service account', async () => {
  kubelet.pods = [podOf({ uid: UID, containers: [ID] })];
  expect(await fetchIn(pod)).toEqual([HOST, POD]);
});

it('a cgroup of the same name elsewhere is no pod', async () => {
  kubelet.pods = [podOf({ uid: UID, containers: [ID] })];
  expect(await fetchIn(`/made-${process.pid}${pod}`)).toEqual([HOST]);
  expect(await fetchIn(`/system.slice/made-${process.pid}.service${pod}`)).toEqual([HOST]);
});

it('a process of a unit has its identity, and one of a unit below another has not', async () => {
  expect(await fetchIn('/system.slice/tp-drill.service')).toEqual([HOST, UNIT]);
  const below = '/user.slice/user-1000.slice/user@1000.service/tp-drill.service';
  expect(await fetchIn(below)).toEqual([HOST]);
});

it('while the kubelet hangs others are served, and its late answer reaches an open stream', async () => {
  kubelet.pods = [podOf({ uid: UID, containers: [ID] })];
  const held: (() => void)[] = [];
  kubelet.intercept = (response) => {
    const list = JSON.stringify({ kind: 'PodList', items: kubelet.pods });
    held.push(() => response.end(list));
    return true;
  };
  const { output } = startIn(pod, 'watch', '--output', 'json');
  const lines = createInterface({ input: output })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  let update = await next();
  while (!update.includes(HOST)) update = await next();
  expect(update).not.toContain(POD);
  expect(await fetchIn('/system.slice/tp-drill.service')).toEqual([HOST, UNIT]);
  kubelet.intercept = () => false;
  held.forEach((answer) => answer());
  while (!update.includes(POD)) update = await next();
  expect(update).toContain(POD);
});
