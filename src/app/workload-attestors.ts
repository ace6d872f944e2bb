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
import type { Section } from './config-values.ts';
import type { Process } from './process.ts';
import {
  type K8sFile,
  SERVICE_ACCOUNT,
  type WorkloadAttestorsFile,
} from './workload-attestors-schema.ts';

const TIMEOUT_MS = 5_000;

/** The attestors that are enabled, with what the file leaves open. */
export function openWorkloadAttestors(
  { unix, docker, k8s, systemd }: WorkloadAttestorsFile,
  { log, metrics, clock }: Pick<Process, 'log' | 'metrics' | 'clock'>,
): readonly WorkloadAttestor[] {
  const common = { log, clock, metrics: createQuestionMetrics(metrics) };
  const attestors = [
    createUnixAttestor({
      log,
      clock,
      discoverWorkloadPath: unix?.discoverWorkloadPath ?? true,
      maxExecutableBytes: hashLimitBytes(unix?.workloadSizeLimit ?? 268_435_456),
    }),
    docker?.enabled === true &&
      createDockerAttestor({
        ...common,
        socket: docker.socket ?? '/var/run/docker.sock',
        podmanSocket: docker.podmanSocket ?? '/run/podman/podman.sock',
        rootlessUids: docker.rootlessUids ?? [],
        rootlessSocket: docker.rootlessSocket ?? '/run/user/%d/podman/podman.sock',
        env: docker.env ?? [],
        timeoutMs: docker.timeout ?? TIMEOUT_MS,
      }),
    k8s?.enabled === true &&
      createK8sAttestor({
        ...common,
        kubelet: buildKubeletOptions(k8s),
        timeoutMs: k8s.timeout ?? TIMEOUT_MS,
      }),
    systemd?.enabled === true &&
      createSystemdAttestor({
        ...common,
        systemctl:
          systemd.fragmentPath === false ? undefined : (systemd.systemctl ?? '/usr/bin/systemctl'),
        timeoutMs: systemd.timeout ?? TIMEOUT_MS,
      }),
  ];
  return attestors.filter((each) => each !== false);
}

/** How the kubelet of this node is reached. */
export function buildKubeletOptions(file: Section<K8sFile>): KubeletOptions {
  const { nodeName, readOnlyPort, certificateFile, privateKeyFile, tokenFile } = file;
  const host = nodeName ?? '127.0.0.1';
  if (readOnlyPort !== undefined) return { host, port: readOnlyPort, tls: undefined };
  const skips = file.skipVerification === true;
  return {
    host,
    port: file.port ?? 10_250,
    tls: {
      serverName: nodeName ?? hostname(),
      caFile: skips ? undefined : (file.caFile ?? `${SERVICE_ACCOUNT}/ca.crt`),
      credentials:
        certificateFile !== undefined && privateKeyFile !== undefined
          ? { certificateFile, privateKeyFile }
          : { tokenFile: tokenFile ?? `${SERVICE_ACCOUNT}/token` },
    },
  };
}

/** As SPIRE's workload_size_limit: 0 is no limit, below 0 hashes nothing. */
function hashLimitBytes(limit: number): number {
  if (limit < 0) return 0;
  return limit === 0 ? Number.MAX_SAFE_INTEGER : limit;
}
