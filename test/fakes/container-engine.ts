import { createServer, type ServerResponse } from 'node:http';
import path from 'node:path';
import { createRunFolder } from '../programs/run-folder.ts';

/** A container as the fake engine knows it. */
export interface FakeContainer {
  pid: number;
  isRunning?: boolean;
  startedAt?: string;
  labels?: Readonly<Record<string, string>> | null;
  env?: readonly string[] | null;
  image?: string;
  imageDigest?: string;
}

/** What an engine (Docker 20.10, Podman's compatible API) answers over its socket, and how it fails. */
export interface FakeEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly containers: Map<string, FakeContainer>;
  /** Paths that were asked for. */
  readonly asked: string[];
  /** Answers in place of the engine; what it returns true for it has seen to. */
  intercept: (response: ServerResponse) => boolean;
  /** Resolves when this many requests have come in all. */
  requests(count: number): Promise<void>;
}

export async function openContainerEngine(): Promise<FakeEngine> {
  const folder = createRunFolder();
  const socketPath = path.join(folder.path, 'engine.sock');
  const containers = new Map<string, FakeContainer>();
  const asked: string[] = [];
  const waiting: (() => void)[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    for (const each of waiting.splice(0)) each();
    if (!engine.intercept(response)) answer(response, containers, request.url ?? '');
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const engine: FakeEngine = {
    socketPath,
    containers,
    asked,
    intercept: () => false,
    async requests(count) {
      while (asked.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await folder.remove();
    },
  };
  return engine;
}

function answer(
  response: ServerResponse,
  containers: ReadonlyMap<string, FakeContainer>,
  url: string,
): void {
  const id = /^\/containers\/([0-9a-f]{64})\/json$/.exec(url)?.[1];
  const container = id === undefined ? undefined : containers.get(id);
  response.setHeader('content-type', 'application/json');
  response.setHeader('api-version', '1.41');
  if (container === undefined) {
    response.statusCode = 404;
    response.end(JSON.stringify({ message: `No such container: ${id}` }));
    return;
  }
  response.end(`${JSON.stringify(inspection(id ?? '', container))}\n`);
}

export function inspection(id: string, container: FakeContainer): object {
  const { pid, isRunning = true, startedAt = '2026-01-01T00:00:00.5Z' } = container;
  return {
    Id: id,
    Created: '2026-01-01T00:00:00.123456789Z',
    Path: '/bin/sleep',
    Args: ['100'],
    State: {
      Status: isRunning ? 'running' : 'created',
      Running: isRunning,
      Paused: false,
      Pid: isRunning ? pid : 0,
      ExitCode: 0,
      StartedAt: startedAt,
    },
    Image: container.imageDigest ?? `sha256:${'5'.repeat(64)}`,
    Name: '/web',
    HostConfig: { NetworkMode: 'none', CgroupnsMode: 'host', ShmSize: 67108864 },
    Config: {
      Hostname: 'web',
      Labels: container.labels === undefined ? { app: 'web' } : container.labels,
      Env: container.env === undefined ? ['PATH=/bin'] : container.env,
      Image: container.image ?? 'web:1',
    },
  };
}
