import path from 'node:path';
import { Command } from 'commander';
import { SpiffeId } from '../spiffe/index.ts';
import type { Io } from './io.ts';
import { withSocket } from './options.ts';
import { stopSignal } from './stop-signal.ts';

interface FollowOptions {
  readonly dir: string;
  readonly pidFile?: string;
  readonly spiffeId?: string;
  readonly once?: boolean;
  readonly socket?: string;
}

const EXAMPLES = `
Examples:
  trustplane nats follow --dir /etc/nats --once
  trustplane nats follow --dir /etc/nats --pid-file /etc/nats/nats-server.pid

Run it as the user of nats-server: it may read the key, and be sent SIGHUP.`;

export function natsFollowCommand(io: Io): Command {
  return withSocket(new Command('follow'), io)
    .description(
      'Keep the SVID and authorities of a nats-server in its folder, and have it load them when they change.',
    )
    .requiredOption('--dir <folder>', 'folder of its configuration and keys')
    .option('--pid-file <file>', 'process ID of nats-server, to be sent SIGHUP')
    .option('--spiffe-id <id>', 'which of several SVIDs (default: the default one)')
    .option('--once', 'end when they are there')
    .addHelpText('after', EXAMPLES)
    .action((options: FollowOptions) => follow(io, options));
}

async function follow(io: Io, options: FollowOptions): Promise<void> {
  const [
    { createWorkloadApiClient },
    { resolveEndpoint },
    { systemClock, createLog },
    { followNats },
    { makeNatsFolder },
  ] = await Promise.all([
    import('../client/index.ts'),
    import('./endpoint.ts'),
    import('../ops/index.ts'),
    import('../app/nats-follow.ts'),
    import('../app/make-nats-folder.ts'),
  ]);
  const { spiffeId, pidFile, once = false } = options;
  const folder = path.resolve(options.dir);
  await makeNatsFolder(folder);
  const stop = new AbortController();
  const client = createWorkloadApiClient({
    address: resolveEndpoint(io, options.socket),
    clock: systemClock,
    random: Math.random,
  });
  if (!once) void stopSignal().then(() => stop.abort());
  try {
    await followNats({
      client,
      folder,
      pidFile: pidFile === undefined ? undefined : path.resolve(pidFile),
      spiffeId: spiffeId === undefined ? undefined : SpiffeId.parse(spiffeId),
      clock: systemClock,
      log: createLog({ level: 'info' }),
      signal: stop.signal,
      onCurrent: () => {
        if (once) stop.abort();
      },
    });
  } finally {
    client.close();
  }
}
