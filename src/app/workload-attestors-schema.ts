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

/** `agent.workloadAttestors`; each but unix is off unless it stands there. */
export const workloadAttestorsSchema: z.ZodType<WorkloadAttestorsFile> = z.strictObject({
  unix: unix.optional(),
  docker: docker.optional(),
});

/** What the file may say of workload attestors. */
export type WorkloadAttestorsFile = Section<{
  unix: Section<{ discoverWorkloadPath: boolean; workloadSizeLimit: number }>;
  docker: Section<{
    socket: string;
    podmanSocket: string;
    rootlessUids: readonly number[];
    rootlessSocket: string;
    env: readonly string[];
    timeout: number;
  }>;
}>;
