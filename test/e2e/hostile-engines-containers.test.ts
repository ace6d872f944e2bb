import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FakeEngine, inspection, openContainerEngine } from '../fakes/container-engine.ts';
import { type FakeKubelet, openKubelet } from '../fakes/kubelet.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { listeningPorts } from '../programs/listening-ports.ts';
import { makeCgroup } from '../programs/made-cgroup.ts';
import { residentMib } from '../programs/memory.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const HOST = 'spiffe://example.org/host';
const ID = 'b'.repeat(64);
const container = `/docker/${ID}`;
const pod = `/kubepods/burstable/poda2830d0d-b0f0-4ff0-81b5-0ee4e299cf80/${ID}`;
const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

const stack = new AsyncDisposableStack();
let engine: FakeEngine;
let kubelet: FakeKubelet;
let up: LaunchedServer;
let socket: string;

beforeAll(async () => {
  engine = stack.use(await openContainerEngine());
  kubelet = stack.use(await openKubelet());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const { port, tokenFile } = kubelet;
  const k8s = { enabled: true, port, tokenFile, skipVerification: true, timeout: '2s' };
  const docker = { enabled: true, socket: engine.socketPath, timeout: '2s' };
  const agent = { workloadAttestors: { docker, k8s } };
  const metrics = { address: '127.0.0.1:0' };
  up = await launchServer(folder.path, { role: 'up', config: JSON.stringify({ agent, metrics }) });
  stack.defer(async () => void (await up.stop()));
  socket = path.join(folder.path, 'agent.sock');
  await up.ask('entry', 'create', '--spiffe-id', HOST, '--selector', 'unix:uid:0');
});

afterAll(async () => {
  await stack.disposeAsync();
});

/** What a command prints that is run as a process of that cgroup. */
async function runIn(cgroup: string, ...command: readonly string[]): Promise<string> {
  const made = makeCgroup(cgroup);
  const words = [process.execPath, program, ...command, '--socket', socket, '--output', 'json'];
  const child = spawn('/bin/sh', ['-c', `${made.enter} && exec "$@"`, 'sh', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  const said = await text(child.stdout);
  await ended;
  made.remove();
  return said;
}

const chunk = Buffer.alloc(1 << 20, '{"a":');

/** As much as is taken, up to 100 MiB. */
function flood(response: ServerResponse): void {
  for (let sent = 0; sent < 100; sent++) response.write(chunk);
  response.end();
}

/** What Docker says of a container with so many labels; made beforehand, as it takes a while. */
function labelled(count: number): (response: ServerResponse) => void {
  const labels = Object.fromEntries(Array.from({ length: count }, (_, n) => [`l${n}`, '']));
  const body = JSON.stringify(inspection(ID, { pid: process.pid, labels }));
  return (response) => response.end(body);
}

const answers: readonly (readonly [string, (response: ServerResponse) => void, string])[] = [
  ['answers 100 MiB', flood, 'over \\d+ bytes|did not answer within'],
  [
    'answers with garbage',
    (response) => response.end(Buffer.alloc(5_000, 0xa5)),
    'not understood|is no JSON',
  ],
  ['answers with an error', (response) => response.writeHead(500).end('no'), 'status 500'],
  ['speaks no HTTP', (response) => response.socket?.end('\0\0nonsense\r\n\r\n'), 'cannot be asked'],
];

const labels: typeof answers = [
  ['has a million labels', labelled(1_000_000), 'over 1048576 bytes'],
];

/** Comes last: its answer is waited for longer than by who asks. */
const hang: typeof answers = [['hangs', () => {}, 'did not answer within']];

describe.each([
  ['docker', container, [...answers, ...labels, ...hang]],
  ['k8s', pod, [...answers, ...hang]],
] as const)('while the one that %s asks', (attestor, cgroup, cases) => {
  it.each(cases)('%s, others are served, and why is told', async (_, answer, why) => {
    const before = residentMib(up.pid);
    const intercept = (response: ServerResponse): boolean => {
      answer(response);
      return true;
    };
    engine.intercept = intercept;
    kubelet.intercept = intercept;
    const own = runIn(cgroup, 'api', 'fetch', 'x509');
    const others = runIn('/others', 'api', 'fetch', 'x509');
    // What other attestors say of the process itself counts.
    for (const said of [await own, await others]) expect(said).toContain(HOST);
    const isOfIt = (line: string): boolean =>
      line.includes('an attestor failed') && line.includes(`"attestor":"${attestor}"`);
    const warning = up.log.findLast(isOfIt);
    expect(JSON.parse(warning ?? '{}')).toMatchObject({
      attestor,
      why: expect.stringMatching(why),
    });
    expect(residentMib(up.pid) - before).toBeLessThan(100);
    expect(await failures(attestor)).toBeGreaterThan(0);
  });
});

/** How often attestors of that name failed, as the metrics say. */
async function failures(attestor: string): Promise<number> {
  const addresses = listeningPorts(up.pid).filter((one) => one !== `tcp 127.0.0.1:${up.port}`);
  const [address = ''] = addresses.map((one) => one.replace('tcp ', 'http://'));
  const answer = await (await fetch(`${address}/metrics`)).text();
  const [, count] =
    new RegExp(`^trustplane_attest_failures_total\\{attestor="${attestor}"\\} (\\d+)$`, 'mu').exec(
      answer,
    ) ?? [];
  return Number(count ?? 0);
}
