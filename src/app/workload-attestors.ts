import {
  createDockerAttestor,
  createQuestionMetrics,
  createUnixAttestor,
  type WorkloadAttestor,
} from '../attest/index.ts';
import type { Process } from './process.ts';
import type { WorkloadAttestorsFile } from './workload-attestors-schema.ts';

const TIMEOUT_MS = 5_000;

/** The attestors that are configured, with what the file leaves open. */
export function openWorkloadAttestors(
  { unix, docker }: WorkloadAttestorsFile,
  { log, metrics, clock }: Pick<Process, 'log' | 'metrics' | 'clock'>,
): readonly WorkloadAttestor[] {
  const common = { log, clock, metrics: createQuestionMetrics(metrics) };
  return [
    createUnixAttestor({
      log,
      clock,
      discoverWorkloadPath: unix?.discoverWorkloadPath ?? true,
      maxExecutableBytes: hashLimitBytes(unix?.workloadSizeLimit ?? 268_435_456),
    }),
    ...(docker === undefined
      ? []
      : [
          createDockerAttestor({
            ...common,
            socket: docker.socket ?? '/var/run/docker.sock',
            podmanSocket: docker.podmanSocket ?? '/run/podman/podman.sock',
            rootlessUids: docker.rootlessUids ?? [],
            rootlessSocket: docker.rootlessSocket ?? '/run/user/%d/podman/podman.sock',
            env: docker.env ?? [],
            timeoutMs: docker.timeout ?? TIMEOUT_MS,
          }),
        ]),
  ];
}

/** As SPIRE's workload_size_limit: 0 is no limit, below 0 hashes nothing. */
function hashLimitBytes(limit: number): number {
  if (limit < 0) return 0;
  return limit === 0 ? Number.MAX_SAFE_INTEGER : limit;
}
