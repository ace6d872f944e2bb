import { hostname } from 'node:os';
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import type { KubeletOptions } from '../attest/index.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { buildKubeletOptions, openWorkloadAttestors } from './workload-attestors.ts';
import { buildWorkloadAttestors } from './workload-attestors-config.ts';
import {
  type K8sFile,
  type WorkloadAttestorsFile,
  workloadAttestorsSchema,
} from './workload-attestors-schema.ts';

const names = (file: WorkloadAttestorsFile): string[] =>
  openWorkloadAttestors(buildWorkloadAttestors(file), {
    log: silentLog,
    metrics: createMetrics(),
    clock: new FakeClock(),
  }).map(({ name }) => name);

const reach = (k8s: Partial<K8sFile>): KubeletOptions | undefined => {
  const built = buildWorkloadAttestors({ k8s: { enabled: true, ...k8s } });
  return built.k8s && buildKubeletOptions(built.k8s);
};

it('has the attestors that are enabled, and unix', () => {
  const off = { enabled: false };
  const on = { enabled: true };
  expect(names({})).toEqual(['unix']);
  expect(names({ docker: off, k8s: off, systemd: { fragmentPath: true } })).toEqual(['unix']);
  expect(names({ docker: on, k8s: on, systemd: on })).toEqual(['unix', 'docker', 'k8s', 'systemd']);
});

it('asks the kubelet as a pod on its network would, unless told otherwise', () => {
  const folder = '/var/run/secrets/kubernetes.io/serviceaccount';
  expect(reach({})).toEqual({
    host: '127.0.0.1',
    port: 10_250,
    tls: {
      serverName: hostname(),
      caFile: `${folder}/ca.crt`,
      credentials: { tokenFile: `${folder}/token` },
    },
  });
  const certificate = { certificateFile: '/c', privateKeyFile: '/k' };
  expect(reach({ nodeName: 'node-1', ...certificate, caFile: '/ca' })).toEqual({
    host: 'node-1',
    port: 10_250,
    tls: { serverName: 'node-1', caFile: '/ca', credentials: certificate },
  });
  expect(reach({ readOnlyPort: 10_255 })).toEqual({
    host: '127.0.0.1',
    port: 10_255,
    tls: undefined,
  });
  expect(reach({ skipVerification: true })?.tls?.caFile).toBeUndefined();
});

it.each([
  ['a socket that is no path', { docker: { socket: 'tcp://127.0.0.1' } }],
  ["a user's socket without the user", { docker: { rootlessSocket: '/run/x.sock' } }],
  ["a user's socket with two", { docker: { rootlessSocket: '/run/%d/%d.sock' } }],
  ['root as one of the users', { docker: { rootlessUids: [0] } }],
  ['a variable with its value', { docker: { env: ['A=b'] } }],
  ['no time at all', { docker: { timeout: '0s' } }],
  ['more time than anybody waits', { k8s: { timeout: '1m' } }],
  ['two ports', { k8s: { port: 1, readOnlyPort: 2 } }],
  ['a certificate without its key', { k8s: { certificateFile: '/c' } }],
  ['a key without its certificate', { k8s: { privateKeyFile: '/k' } }],
  ['a node that is a URL', { k8s: { nodeName: 'https://x' } }],
  ['a program that is no path', { systemd: { systemctl: 'systemctl' } }],
  ['another attestor', { windows: {} }],
])('refuses %s', (_what, file) => {
  expect(workloadAttestorsSchema.safeParse(file).success).toBe(false);
});
