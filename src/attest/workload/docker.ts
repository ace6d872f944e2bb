import type { Log } from '../../ops/index.ts';
import { type Clock, type Selector, TrustplaneError } from '../../spiffe/index.ts';
import { boundedSelectors } from './bounded-selectors.ts';
import { type Cgroup, parseCgroups } from './cgroup.ts';
import { findContainers, isInContainer, type NamedContainer } from './container-cgroup.ts';
import type { EngineContainer } from './engine-container.ts';
import { isGone } from './proc-files.ts';
import { kernelProc, type ProcReader } from './proc-reader.ts';
import type { QuestionMetrics } from './questions.ts';
import { RunningContainers } from './running-containers.ts';
import type { WorkloadAttestor } from './workload-attestor.ts';

/** More than one question at most; the attestor ends by itself. */
const QUESTIONS_PER_ATTESTATION = 4;

export interface DockerAttestorOptions {
  /** Of the Docker engine. */
  readonly socket: string;
  /** Of root's Podman. */
  readonly podmanSocket: string;
  /** Of a user's own engine; `%d` is the user's ID. */
  readonly rootlessSocket: string;
  /** Users whose own engines are believed, whatever they say. */
  readonly rootlessUids: readonly number[];
  /** Variables of a container that become selectors. */
  readonly env: readonly string[];
  /** How long an engine is waited for. */
  readonly timeoutMs: number;
  readonly log: Log;
  readonly metrics: QuestionMetrics;
  readonly clock: Clock;
  readonly proc?: ProcReader;
}

/**
 * The `docker` selectors, as SPIRE names them: `label`, `image_id`, `image_config_digest`, `env`. The
 * cgroup of a process names its container; the engine says what that is, and which process is its
 * first; a process that is not where the kernel has that one gets nothing.
 */
export function createDockerAttestor(options: DockerAttestorOptions): WorkloadAttestor {
  const { proc = kernelProc, log } = options;
  const engines = createEngines(options, proc);
  return {
    name: 'docker',
    timeoutMs: options.timeoutMs * QUESTIONS_PER_ATTESTATION + 1_000,
    async attest(process, again) {
      const cgroups = readCgroups(proc, process.pid);
      const named = findContainers(cgroups);
      for (const each of named) {
        const found = await engines(each)?.find(each.id, process.uid, again);
        if (found === undefined) continue;
        // Read again: the process may have been moved meanwhile.
        if (!isInContainer(readCgroups(proc, process.pid), found.roots)) throw elsewhere(each);
        return selectorsOf(each, found.container, options.env);
      }
      if (named.length > 0)
        log.debug({ pid: process.pid, containers: named }, 'no engine runs this container');
      return [];
    },
  };
}

/** The engine that a container would be of; undefined for those of users who are not believed. */
function createEngines(
  options: DockerAttestorOptions,
  proc: ProcReader,
): (container: NamedContainer) => RunningContainers | undefined {
  const open = new Map<string, RunningContainers>();
  return ({ isPodman, ownerUid }) => {
    if (ownerUid !== undefined && !options.rootlessUids.includes(ownerUid)) return undefined;
    const ofRoot = isPodman ? options.podmanSocket : options.socket;
    const socketPath =
      ownerUid === undefined ? ofRoot : options.rootlessSocket.replace('%d', String(ownerUid));
    const engine = open.get(socketPath) ?? new RunningContainers({ ...options, proc, socketPath });
    open.set(socketPath, engine);
    return engine;
  };
}

/** @throws TrustplaneError ERR_ATTEST_PROCESS_GONE, ERR_ATTEST_PROC */
function readCgroups(proc: ProcReader, pid: number): readonly Cgroup[] {
  try {
    return parseCgroups(proc.cgroup(pid));
  } catch (error) {
    if (!isGone(error)) throw error;
    throw new TrustplaneError('ERR_ATTEST_PROCESS_GONE', `process ${pid} has exited`);
  }
}

function selectorsOf(
  { id }: NamedContainer,
  { labels, env, image, imageDigest }: EngineContainer,
  shownEnv: readonly string[],
): readonly Selector[] {
  const shown = env.filter((each) => shownEnv.includes(each.slice(0, each.indexOf('='))));
  const values = [
    ...[...labels].map(([key, value]) => `label:${key}:${value}`),
    ...shown.map((each) => `env:${each}`),
    ...(image === '' ? [] : [`image_id:${image}`]),
    ...(imageDigest === undefined ? [] : [`image_config_digest:${imageDigest}`]),
  ];
  return boundedSelectors('docker', values, `container ${id}`);
}

function elsewhere({ id }: NamedContainer): TrustplaneError {
  return new TrustplaneError(
    'ERR_ATTEST_CONTAINER',
    `the cgroup of the process is named after container ${id}, but is not where that container's processes are`,
  );
}
