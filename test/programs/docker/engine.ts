import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers';
import { isLeftover, ownerLabel, thisPlace } from './owner.ts';

/** A container engine that answers. */
export interface Engine {
  readonly client: ContainerRuntimeClient;
  /** `uid:gid` for containers, so that the host sees their processes and files as this user's. */
  readonly user: string;
}

/**
 * The engine that testcontainers finds: DOCKER_HOST, the usual sockets. Inside a container it would
 * look for the engine's address, for ports, with an image that it pulls; nothing here has a port.
 */
export async function connectEngine(): Promise<Engine> {
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] = 'localhost';
  const client = await getContainerRuntimeClient();
  const info: { SecurityOptions?: string[] } = await client.container.dockerode.info();
  return { client, user: userOf(info.SecurityOptions ?? []) };
}

/** The root of a rootless engine is its user; every other engine takes ids as they are. */
function userOf(securityOptions: readonly string[]): string {
  if (securityOptions.some((option) => option.startsWith('name=rootless'))) return '0:0';
  return `${process.getuid?.() ?? 0}:${process.getgid?.() ?? 0}`;
}

/**
 * Removes containers whose owner was killed before it could. testcontainers has Ryuk for that, an
 * image that would have to be pulled and that publishes a port; nothing here asks for it.
 */
export async function removeLeftovers({ client }: Engine): Promise<void> {
  const { dockerode } = client.container;
  const filters = { label: [ownerLabel] };
  for (const { Id, Labels, State } of await dockerode.listContainers({ all: true, filters }))
    if (isLeftover({ owner: Labels[ownerLabel] ?? '', state: State }, thisPlace()))
      await dockerode.getContainer(Id).remove({ force: true, v: true }).catch(ignoreGone);
}

/** Somebody else may be removing it too. */
function ignoreGone(error: unknown): void {
  const status = error instanceof Error && 'statusCode' in error ? error.statusCode : undefined;
  if (status !== 404 && status !== 409) throw error;
}
