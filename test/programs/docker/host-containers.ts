import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { ImageName } from 'testcontainers';
import { createRunFolder } from '../run-folder.ts';
import { connectEngine, type Engine } from './engine.ts';

const IMAGE = 'host-programs:1';
const root = path.join(import.meta.dirname, '..', '..', '..');

/** A container with this machine's programs, and this repository, in it. */
export interface HostContainer {
  readonly id: string;
  /** Resolves with the output, at its end. */
  exec(command: readonly string[]): Promise<string>;
  /** The output of its own command, once that has ended. */
  output(): Promise<string>;
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts containers at the engine that DOCKER_HOST names, of an image with nothing in it. */
export async function openHostContainers(): Promise<
  (options: {
    readonly labels: Readonly<Record<string, string>>;
    readonly folders: readonly string[];
    readonly command?: readonly string[];
  }) => Promise<HostContainer>
> {
  const engine = await connectEngine();
  await buildEmptyImage(engine);
  const { dockerode } = engine.client.container;
  const programs = ['/bin', '/lib', '/lib64', '/usr', root];
  return async ({ labels, folders, command = ['/bin/sleep', 'infinity'] }) => {
    const container = await dockerode.createContainer({
      Image: IMAGE,
      Cmd: [...command],
      Labels: { ...labels },
      Tty: true,
      HostConfig: {
        NetworkMode: 'none',
        Mounts: [
          ...programs.map((folder) => mount(folder, true)),
          ...folders.map((folder) => mount(folder, false)),
        ],
      },
    });
    await container.start();
    return {
      id: container.id,
      async exec(words) {
        const run = await container.exec({ Cmd: [...words], AttachStdout: true, Tty: true });
        return await text(await run.start({ Tty: true }));
      },
      async output() {
        return await text(await container.logs({ stdout: true, stderr: true, follow: true }));
      },
      restart: async () => void (await container.restart({ t: 0 })),
      remove: async () => void (await container.remove({ force: true })),
    };
  };
}

function mount(
  folder: string,
  isReadOnly: boolean,
): {
  readonly Type: 'bind';
  readonly Source: string;
  readonly Target: string;
  readonly ReadOnly: boolean;
} {
  return { Type: 'bind', Source: folder, Target: folder, ReadOnly: isReadOnly };
}

async function buildEmptyImage({ client }: Engine): Promise<void> {
  if (await client.image.exists(ImageName.fromString(IMAGE))) return;
  const folder = createRunFolder();
  writeFileSync(path.join(folder.path, 'Dockerfile'), 'FROM scratch\nLABEL of=the-image\n');
  await client.image.build(folder.path, { t: IMAGE });
  await folder.remove();
}
