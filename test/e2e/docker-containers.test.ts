import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { type HostContainer, openHostContainers } from '../programs/docker/host-containers.ts';
import { eventually } from '../programs/eventually.ts';
import { findEnvoy } from '../programs/find-envoy.ts';
import { launchDockerd, type PrivateDockerd } from '../programs/launch-dockerd.ts';
import { launchTrustplane, type RunningTrustplane } from '../programs/launch-trustplane.ts';
import { makeCgroup } from '../programs/made-cgroup.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';

const WEB = 'spiffe://example.org/web';
const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

const stack = new AsyncDisposableStack();
let dockerd: PrivateDockerd;
let trustplane: RunningTrustplane;
let folder: string;
let startContainer: Awaited<ReturnType<typeof openHostContainers>>;

beforeAll(async () => {
  dockerd = stack.use(await launchDockerd());
  process.env['DOCKER_HOST'] = `unix://${dockerd.socket}`;
  process.env['TRUSTPLANE_ENVOY'] = 'docker';
  // What was found for other tests is none of this engine's.
  delete process.env['TRUSTPLANE_ENVOY_FOUND'];
  startContainer = await openHostContainers();
  const place = createRunFolder();
  stack.defer(async () => await place.remove());
  folder = place.path;
  const config = path.join(folder, 'trustplane.yaml');
  const docker = `{ enabled: true, socket: ${dockerd.socket}, timeout: 1s }`;
  writeFileSync(config, `agent: { workloadAttestors: { docker: ${docker} } }\n`);
  trustplane = await launchTrustplane(folder, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  await trustplane.createEntry(
    WEB,
    '--selector',
    'docker:label:app:web',
    '--selector',
    'unix:uid:0',
  );
});

afterAll(async () => {
  await stack.disposeAsync();
});

/** Lives as long as the test. */
async function container(
  labels: Readonly<Record<string, string>>,
  command?: readonly string[],
): Promise<HostContainer> {
  const started = await startContainer({ labels, folders: [folder], ...(command && { command }) });
  onTestFinished(async () => await started.remove());
  return started;
}

const fetchCommand = (): readonly string[] => {
  const ask = ['api', 'fetch', 'x509', '--output', 'json', '--socket', trustplane.socket];
  return [process.execPath, program, ...ask];
};

/** The SPIFFE IDs, sorted, in the output of a fetch; what else it says when there are none. */
function idsIn(output: string): readonly string[] | string {
  const ids = [...output.matchAll(/"spiffeId": "([^"]+)"/gu)].map(([, id]) => id ?? '');
  return ids.length === 0 ? output : ids.sort();
}

const fetchIn = async (inside: HostContainer) => idsIn(await inside.exec(fetchCommand()));

/** As a process of this host and user, after what `before` says to a shell. */
async function fetchHere(before = ''): Promise<readonly string[] | string> {
  const script = `${before}\nexec "$@" 2>&1`;
  const child = spawn('/bin/sh', ['-c', script, 'sh', ...fetchCommand()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const output = text(child.stdout);
  await once(child, 'exit');
  return idsIn(await output);
}

const nothing = expect.stringContaining('ERR_WORKLOAD_NO_IDENTITY');

it('a container has the identity of its label, and a process of the same user outside has not', async () => {
  const web = await container({ app: 'web' });
  expect(await fetchIn(web)).toEqual([WEB]);
  expect(await fetchHere()).toEqual(nothing);
});

it('the first process of a container is attested as it starts', async () => {
  const web = await container({ app: 'web' }, fetchCommand());
  expect(idsIn(await web.output())).toEqual([WEB]);
});

it('a container of another label, or of none, has nothing', async () => {
  expect(await fetchIn(await container({ app: 'shop' }))).toEqual(nothing);
  expect(await fetchIn(await container({}))).toEqual(nothing);
});

it('a container keeps its identity over a restart, and leaves none behind', async () => {
  const web = await container({ app: 'web' });
  expect(await fetchIn(web)).toEqual([WEB]);
  await web.restart();
  expect(await fetchIn(web)).toEqual([WEB]);
  const forged = forgeCgroup(web.id);
  await web.restart();
  expect(await fetchHere(forged)).toEqual(nothing);
});

it('a cgroup that somebody names after a container is not the container', async () => {
  const web = await container({ app: 'web' });
  expect(await fetchIn(web)).toEqual([WEB]);
  expect(await fetchHere(forgeCgroup(web.id))).toEqual(nothing);
  expect(trustplane.lines.join('\n')).toContain(
    `the cgroup of the process is named after container ${web.id}`,
  );
});

it('Envoys in containers have identities by their image, and speak mTLS', async () => {
  const envoy = await findEnvoy();
  if (envoy.kind !== 'image') throw new Error(`Envoy is from ${envoy.origin}`);
  const selector = ['--selector', `docker:image_id:${envoy.image}`];
  const [clientId, serverId] = ['client', 'server'].map((name) => `spiffe://example.org/${name}`);
  if (clientId === undefined || serverId === undefined) throw new Error();
  await trustplane.createEntry(clientId, ...selector);
  await trustplane.createEntry(serverId, ...selector);
  const place = createRunFolder();
  onTestFinished(async () => await place.remove());
  const sidecars = await launchSidecars({
    folder: place.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
  });
  onTestFinished(async () => await sidecars.stop());
  await Promise.all([sidecars.client.waitReady(), sidecars.server.waitReady()]);
  const { status, body } = await sidecars.request();
  expect(status).toBe(200);
  expect(body).toContain(`URI=${clientId}`);
  expect(await fetchHere()).toEqual(nothing);
});

it('an engine that hangs takes nothing from others, nor from containers that were known', async () => {
  const host = 'spiffe://example.org/host';
  await trustplane.createEntry(host, '--selector', 'unix:uid:0');
  await container({ app: 'web' }, fetchEach(['known', 'known-later']));
  writeFileSync(at('known.go'), '');
  expect(idsIn(await written('known'))).toEqual([host, WEB]);
  const unknown = await container({ app: 'web' }, fetchEach(['unknown-start', 'unknown', 'back']));
  await eventually('the container runs', () => existsSync(at('unknown-start.begun')) || undefined);
  dockerd.pause();
  try {
    writeFileSync(at('unknown-start.go'), '');
    expect(idsIn(await written('unknown-start'))).toEqual([host]);
    expect(await fetchHere()).toEqual([host]);
    writeFileSync(at('known-later.go'), '');
    expect(idsIn(await written('known-later'))).toEqual([host, WEB]);
    writeFileSync(at('unknown.go'), '');
    expect(idsIn(await written('unknown'))).toEqual([host]);
  } finally {
    dockerd.resume();
  }
  const later = await container({ app: 'web' });
  await eventually(
    'the engine answers',
    async () => (await fetchIn(later)).includes(WEB) || undefined,
  );
  writeFileSync(at('back.go'), '');
  expect(idsIn(await written('back'))).toEqual([host, WEB]);
  await unknown.output();
});

const at = (name: string): string => path.join(folder, name);

/** The command of a container that fetches once for each name, when told to, into a file of that name. */
function fetchEach(names: readonly string[]): readonly string[] {
  const script = names.map(
    (name) =>
      `>${at(name)}.begun; until test -e ${at(name)}.go; do sleep 0.05; done; ` +
      `"$@" >${at(name)}.part 2>&1; mv ${at(name)}.part ${at(name)}`,
  );
  return ['/bin/sh', '-c', script.join('\n'), 'sh', ...fetchCommand()];
}

async function written(name: string): Promise<string> {
  return await eventually(name, () =>
    existsSync(at(name)) ? readFileSync(at(name), 'utf8') : undefined,
  );
}

/** Makes a cgroup that is named as a container's is; returns what moves a shell into it. */
function forgeCgroup(id: string): string {
  const forged = makeCgroup(`/forged-${process.pid}/docker-${id}.scope`);
  onTestFinished(() => forged.remove());
  return forged.enter;
}
