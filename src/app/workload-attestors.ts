import { hostname } from 'node:os';
import {
  createDockerAttestor,
  createK8sAttestor,
  createQuestionMetrics,
  createSystemdAttestor,
  createUnixAttestor,
  type KubeletOptions,
  type WorkloadAttestor,
} from '../attest/index.ts';
import type { Process } from './process.ts';
import type { KubeletConfig, WorkloadAttestorsConfig } from './workload-attestors-config.ts';

/** The attestors that are enabled. */
export function openWorkloadAttestors(
  { unix, docker, k8s, systemd }: WorkloadAttestorsConfig,
  { log, metrics, clock }: Pick<Process, 'log' | 'metrics' | 'clock'>,
): readonly WorkloadAttestor[] {
  const common = { log, clock, metrics: createQuestionMetrics(metrics) };
  const attestors = [
    createUnixAttestor({
      log,
      clock,
      discoverWorkloadPath: unix.discoverWorkloadPath,
      maxExecutableBytes: hashLimitBytes(unix.workloadSizeLimit),
    }),
    docker !== undefined && createDockerAttestor({ ...common, ...docker }),
    k8s !== undefined &&
      createK8sAttestor({
        ...common,
        kubelet: buildKubeletOptions(k8s),
        timeoutMs: k8s.timeoutMs,
      }),
    systemd !== undefined && createSystemdAttestor({ ...common, ...systemd }),
  ];
  return attestors.filter((each) => each !== false);
}

/** How the kubelet of this node is reached. */
export function buildKubeletOptions(config: KubeletConfig): KubeletOptions {
  const { nodeName, readOnlyPort, certificateFile, privateKeyFile, tokenFile } = config;
  const host = nodeName ?? '127.0.0.1';
  if (readOnlyPort !== undefined) return { host, port: readOnlyPort, tls: undefined };
  return {
    host,
    port: config.port,
    tls: {
      serverName: nodeName ?? hostname(),
      caFile: config.skipVerification ? undefined : config.caFile,
      credentials:
        certificateFile !== undefined && privateKeyFile !== undefined
          ? { certificateFile, privateKeyFile }
          : { tokenFile },
    },
  };
}

/** As SPIRE's workload_size_limit: 0 is no limit, below 0 hashes nothing. */
function hashLimitBytes(limit: number): number {
  if (limit < 0) return 0;
  return limit === 0 ? Number.MAX_SAFE_INTEGER : limit;
}
