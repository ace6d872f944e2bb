import path from 'node:path';
import { eventually } from './eventually.ts';
import { ProgramMissingError } from './pip.ts';
import { createRunFolder } from './run-folder.ts';
import { tryProgram } from './run-program.ts';
import { spawnTied } from './tied-child.ts';
import { requestUnix } from './unix-http.ts';

/** A container engine of this process's own: no network, no other's containers, nothing kept. */
export interface PrivateDockerd extends AsyncDisposable {
  readonly socket: string;
  readonly pid: number;
  /** SIGSTOP: connections are taken by the kernel, and nothing is answered. */
  pause(): void;
  resume(): void;
}

/** Throws ProgramMissingError where there is no dockerd, or where it may not run. */
export async function launchDockerd(): Promise<PrivateDockerd> {
  await requireDockerd();
  await using starting = new AsyncDisposableStack();
  const folder = createRunFolder();
  starting.defer(async () => await folder.remove());
  const at = (name: string): string => path.join(folder.path, name);
  const socket = at('docker.sock');
  const child = spawnTied('dockerd', [
    `--host=unix://${socket}`,
    `--data-root=${at('data')}`,
    `--exec-root=${at('exec')}`,
    `--pidfile=${at('pid')}`,
    '--storage-driver=vfs',
    '--bridge=none',
    '--iptables=false',
    '--ip6tables=false',
  ]);
  starting.defer(async () => {
    child.kill('SIGCONT');
    await child.stop();
  });
  const ping = async (): Promise<true | undefined> =>
    (await requestUnix({ socketPath: socket, path: '/_ping' })).status === 200 ? true : undefined;
  const ended = child.ended.then((how) => {
    throw new Error(`dockerd ended with ${how}:\n${child.lines.slice(-20).join('\n')}`);
  });
  await Promise.race([eventually('dockerd answers', ping, { timeoutMs: 60_000 }), ended]);
  ended.catch(() => {});
  const stack = starting.move();
  return {
    socket,
    pid: child.pid,
    pause: () => child.kill('SIGSTOP'),
    resume: () => child.kill('SIGCONT'),
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function requireDockerd(): Promise<void> {
  const version = await tryProgram('dockerd', ['--version']);
  const isRoot = process.getuid?.() === 0;
  if (version?.code === 0 && isRoot) return;
  throw new ProgramMissingError(
    [
      'A container engine of its own is needed, and cannot be had:',
      `  - dockerd: ${version === undefined ? 'not on PATH' : version.stdout.trim()}`,
      `  - user: ${isRoot ? 'root' : 'not root, which dockerd asks for'}`,
      "Install Debian's docker.io (apt-get install docker.io) and run this as root.",
    ].join('\n'),
  );
}
