/**
 * Runs the Envoy of an image to its end, as a program that a pipe can be tied to: what Envoy prints
 * goes to standard output, its exit code is this one's, and SIGTERM ends both.
 * Usage: run-container.ts NETWORK IMAGE FOLDERS ARGUMENT...
 * The container has this user's ids and working directory, the FOLDERS (colons between them) under
 * their own paths, and NETWORK: `none`, or `host` for this machine's.
 */
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { GenericContainer, PullPolicy, Wait } from 'testcontainers';
import { connectEngine, type Engine } from './engine.ts';
import { ownerLabel, ownerOf } from './owner.ts';

const graceSeconds = 3;

interface ContainerOptions {
  readonly network: string;
  readonly image: string;
  readonly folders: readonly string[];
  readonly args: readonly string[];
}

/** A container that can be stopped from the moment it exists, and whose output is kept. */
class EnvoyContainer extends GenericContainer {
  readonly #engine: Engine;
  #handle: ReturnType<Engine['client']['container']['getById']> | undefined;
  #isStopping = false;
  #printed: Promise<unknown> = Promise.resolve();

  constructor(engine: Engine, options: ContainerOptions) {
    const { network, image, folders, args } = options;
    super(image);
    this.#engine = engine;
    this.withPullPolicy(PullPolicy.neverPull())
      .withAutoCleanup(false)
      .withLabels({ [ownerLabel]: ownerOf(process.pid) })
      .withUser(engine.user)
      .withNetworkMode(network)
      .withSecurityOpt('label=disable')
      .withWorkingDir(process.cwd())
      .withEntrypoint(['envoy'])
      .withCommand([...args])
      .withLogConsumer((output) => this.#print(output))
      .withWaitStrategy(Wait.forLogMessage(/./));
    // Not withBindMounts: that makes a folder where the engine, on another machine, has none.
    this.hostConfig.Mounts = folders.map((folder) => ({
      Type: 'bind',
      Source: folder,
      Target: folder,
    }));
  }

  /** Resolves with the exit code when the container has ended and is gone. */
  async run(): Promise<number> {
    try {
      const started = await this.start();
      if (this.#isStopping) await this.stop();
      const handle = this.#engine.client.container.getById(started.getId());
      const { StatusCode }: { StatusCode: number } = await handle.wait();
      // Bounded: testcontainers' log socket does not keep Node alive, and the timer does.
      await Promise.race([this.#printed, delay(1000)]);
      return StatusCode;
    } finally {
      await this.#handle?.remove({ force: true, v: true }).catch(() => {});
    }
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#handle?.stop({ t: graceSeconds }).catch(() => {});
  }

  protected override async containerCreated(id: string): Promise<void> {
    this.#handle = this.#engine.client.container.getById(id);
  }

  #print(output: Readable): void {
    output.on('data', (chunk: string) => process.stdout.write(chunk));
    this.#printed = once(output, 'end');
  }
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  return 1;
});

async function main([network, image, folders, ...args]: readonly string[]): Promise<number> {
  if (network === undefined || image === undefined || folders === undefined)
    throw new Error('usage: run-container.ts NETWORK IMAGE FOLDERS ARGUMENT...');
  // Nobody may be left to read it, and the container is to be removed all the same.
  process.stdout.on('error', () => {});
  let container: EnvoyContainer | undefined;
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (container === undefined) process.exit(0);
      void container.stop();
    });
  container = new EnvoyContainer(await connectEngine(), {
    network,
    image,
    folders: folders.split(':'),
    args,
  });
  return await container.run();
}
