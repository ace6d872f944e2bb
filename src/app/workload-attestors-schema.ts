import { z } from 'zod';
import { absolutePath, duration, option, parsed, type Section } from './config-values.ts';

const timeout = option(
  duration(100, 30_000),
  '5s',
  'How long a process that asks for its identity waits for it. What comes later is taken up when it comes.',
);

const unix = z.strictObject({
  discoverWorkloadPath: option(
    z.boolean(),
    true,
    'Produce the selectors unix:path and unix:sha256.',
  ),
  workloadSizeLimit: option(
    z.int().min(-1),
    268_435_456,
    'Largest executable, in bytes, that is hashed for unix:sha256; 0 for any size, -1 to hash none.',
  ),
});

const rootlessSocket = parsed('^/[^%]*%d[^%]*$', 'absolute path with one %d', (text) => {
  if (/^\/[^%\0]*%d[^%\0]*$/u.test(text)) return text;
  throw new Error(`expected an absolute path with one %d, got ${JSON.stringify(text)}`);
});

const docker = z.strictObject({
  enabled: option(
    z.boolean(),
    false,
    'Produce selectors docker: of processes in containers of Docker and Podman.',
  ),
  socket: option(absolutePath, '/var/run/docker.sock', 'Socket of the Docker engine.'),
  podmanSocket: option(
    absolutePath,
    '/run/podman/podman.sock',
    "Socket of root's Podman, asked of containers that are Podman's.",
  ),
  rootlessUids: z
    .array(z.int().min(1).max(4_294_967_294))
    .max(64)
    .optional()
    .meta({
      description:
        'Users whose own engines are believed. Such a user decides what a container is said to be: any label, any image.',
      examples: [[1000]],
    }),
  rootlessSocket: option(
    rootlessSocket,
    '/run/user/%d/podman/podman.sock',
    "Socket of a user's own engine; %d is the user's ID.",
  ),
  env: z
    .array(z.string().regex(/^[^=\0]{1,256}$/u))
    .max(64)
    .optional()
    .meta({
      description: 'Variables of a container that become selectors docker:env.',
      examples: [['APP_ROLE']],
    }),
  timeout,
});

/** Where Kubernetes puts what a pod is to its cluster. */
export const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';
const port = z.int().min(1).max(65_535);

const k8sOptions = z.strictObject({
  enabled: option(z.boolean(), false, 'Produce selectors k8s: of processes in pods.'),
  nodeName: z
    .string()
    .regex(/^[A-Za-z0-9.-]{1,253}$/u)
    .optional()
    .meta({
      description:
        "Name of this node: the kubelet is asked there and has to show a certificate of that name. Unless said it is asked on 127.0.0.1, by this machine's host name.",
      examples: ['node-1.example'],
    }),
  port: option(port, 10_250, 'Port of the kubelet, for TLS.'),
  readOnlyPort: port.optional().meta({
    description:
      'Port of the kubelet for HTTP, in place of the other. Whoever listens on it decides what every pod is.',
    examples: [10_255],
  }),
  caFile: option(
    absolutePath,
    `${SERVICE_ACCOUNT}/ca.crt`,
    "PEM file with the authorities of the kubelet's certificate. Read at each request.",
  ),
  skipVerification: option(
    z.boolean(),
    false,
    'Believe any certificate. Whoever listens on the port gets the token, and decides what every pod is.',
  ),
  tokenFile: option(
    absolutePath,
    `${SERVICE_ACCOUNT}/token`,
    'File with the bearer token that the kubelet is shown. Read at each request.',
  ),
  certificateFile: absolutePath.optional().meta({
    description: 'PEM file with a client certificate, shown in place of the token.',
    examples: ['/etc/trustplane/kubelet.pem'],
  }),
  privateKeyFile: absolutePath.optional().meta({
    description: 'PEM file with its private key.',
    examples: ['/etc/trustplane/kubelet.key'],
  }),
  timeout,
});

const k8s = k8sOptions
  .refine(({ port: given, readOnlyPort }) => given === undefined || readOnlyPort === undefined, {
    message: 'port and readOnlyPort exclude each other',
  })
  .refine(
    ({ certificateFile, privateKeyFile }) =>
      (certificateFile === undefined) === (privateKeyFile === undefined),
    { message: 'certificateFile and privateKeyFile need each other' },
  );

const systemd = z.strictObject({
  enabled: option(
    z.boolean(),
    false,
    "Produce selectors systemd: of processes in units of the system's systemd.",
  ),
  fragmentPath: option(
    z.boolean(),
    true,
    'Produce systemd:fragment_path, which systemctl is run for.',
  ),
  systemctl: option(absolutePath, '/usr/bin/systemctl', 'The program.'),
  timeout,
});

/** `agent.workloadAttestors`; each but unix is off unless it is enabled. */
export const workloadAttestorsSchema: z.ZodType<WorkloadAttestorsFile> = z.strictObject({
  unix: unix.optional(),
  docker: docker.optional(),
  k8s: k8s.optional(),
  systemd: systemd.optional(),
});

/** What the file may say of workload attestors. */
export type WorkloadAttestorsFile = Section<{
  unix: Section<{ discoverWorkloadPath: boolean; workloadSizeLimit: number }>;
  docker: Section<{
    enabled: boolean;
    socket: string;
    podmanSocket: string;
    rootlessUids: readonly number[];
    rootlessSocket: string;
    env: readonly string[];
    timeout: number;
  }>;
  k8s: Section<K8sFile>;
  systemd: Section<{
    enabled: boolean;
    fragmentPath: boolean;
    systemctl: string;
    timeout: number;
  }>;
}>;

/** What it may say of the kubelet. */
export interface K8sFile {
  readonly enabled: boolean;
  readonly nodeName: string;
  readonly port: number;
  readonly readOnlyPort: number;
  readonly caFile: string;
  readonly skipVerification: boolean;
  readonly tokenFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly timeout: number;
}
