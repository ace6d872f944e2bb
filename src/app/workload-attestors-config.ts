import type { DockerAttestorOptions, SystemdAttestorOptions } from '../attest/index.ts';
import type { Section } from './config-values.ts';
import {
  type K8sFile,
  SERVICE_ACCOUNT,
  type WorkloadAttestorsFile,
} from './workload-attestors-schema.ts';

const TIMEOUT_MS = 5_000;

/** Which workload attestors there are, every default filled in. Undefined: it is not enabled. */
export interface WorkloadAttestorsConfig {
  readonly unix: { readonly discoverWorkloadPath: boolean; readonly workloadSizeLimit: number };
  readonly docker:
    | Pick<
        DockerAttestorOptions,
        'socket' | 'podmanSocket' | 'rootlessUids' | 'rootlessSocket' | 'env' | 'timeoutMs'
      >
    | undefined;
  readonly k8s: KubeletConfig | undefined;
  readonly systemd: Pick<SystemdAttestorOptions, 'systemctl' | 'timeoutMs'> | undefined;
}

type Optional = 'nodeName' | 'readOnlyPort' | 'certificateFile' | 'privateKeyFile';

/** How the kubelet of this node is asked. */
export interface KubeletConfig
  extends Section<Pick<K8sFile, Optional>>,
    Omit<K8sFile, Optional | 'enabled' | 'timeout'> {
  readonly timeoutMs: number;
}

/** What holds where the file says nothing. */
export function buildWorkloadAttestors(file: WorkloadAttestorsFile): WorkloadAttestorsConfig {
  const { unix, docker, k8s, systemd } = file;
  return {
    unix: {
      discoverWorkloadPath: unix?.discoverWorkloadPath ?? true,
      workloadSizeLimit: unix?.workloadSizeLimit ?? 268_435_456,
    },
    docker: docker?.enabled === true ? buildDocker(docker) : undefined,
    k8s: k8s?.enabled === true ? buildKubelet(k8s) : undefined,
    systemd: systemd?.enabled === true ? buildSystemd(systemd) : undefined,
  };
}

function buildDocker(
  file: NonNullable<WorkloadAttestorsFile['docker']>,
): WorkloadAttestorsConfig['docker'] {
  return {
    socket: file.socket ?? '/var/run/docker.sock',
    podmanSocket: file.podmanSocket ?? '/run/podman/podman.sock',
    rootlessUids: file.rootlessUids ?? [],
    rootlessSocket: file.rootlessSocket ?? '/run/user/%d/podman/podman.sock',
    env: file.env ?? [],
    timeoutMs: file.timeout ?? TIMEOUT_MS,
  };
}

function buildKubelet(file: Section<K8sFile>): KubeletConfig {
  const { nodeName, readOnlyPort, certificateFile, privateKeyFile } = file;
  return {
    nodeName,
    port: file.port ?? 10_250,
    readOnlyPort,
    caFile: file.caFile ?? `${SERVICE_ACCOUNT}/ca.crt`,
    skipVerification: file.skipVerification ?? false,
    tokenFile: file.tokenFile ?? `${SERVICE_ACCOUNT}/token`,
    certificateFile,
    privateKeyFile,
    timeoutMs: file.timeout ?? TIMEOUT_MS,
  };
}

function buildSystemd(
  file: NonNullable<WorkloadAttestorsFile['systemd']>,
): WorkloadAttestorsConfig['systemd'] {
  const systemctl = file.systemctl ?? '/usr/bin/systemctl';
  return {
    systemctl: file.fragmentPath === false ? undefined : systemctl,
    timeoutMs: file.timeout ?? TIMEOUT_MS,
  };
}
