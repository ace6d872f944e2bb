import { readFileSync } from 'node:fs';
import type { WorkloadApiClient } from '../client/index.ts';
import { type Log, pause } from '../ops/index.ts';
import { type Clock, messageOf, type SpiffeId } from '../spiffe/index.ts';
import { buildSvidFiles, writeSvidFiles } from './nats-svid-files.ts';

const RETRY_MS = 5_000;

export interface NatsFollowOptions {
  readonly client: Pick<WorkloadApiClient, 'watchX509'>;
  /** Where the files are kept. */
  readonly folder: string;
  /** Of nats-server; undefined: nobody is told. */
  readonly pidFile: string | undefined;
  /** Which of several SVIDs; undefined: the default one. */
  readonly spiffeId: SpiffeId | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  /** Called each time that the files are as the Workload API says. */
  readonly onCurrent: () => void;
}

/**
 * Keeps the files of a nats-server as the Workload API says, and has it load them when they change,
 * until `signal` aborts. Nothing is taken away while the Workload API is silent or refuses.
 * @throws TrustplaneError when it says that trying again is of no use
 */
export async function followNats(options: NatsFollowOptions): Promise<void> {
  const { client, log, signal } = options;
  for await (const event of client.watchX509(signal)) {
    if (event.type === 'update')
      await keep(options, () => buildSvidFiles(event.context, options.spiffeId));
    else log.warn({ reason: event.error.message }, `the Workload API: ${event.type}`);
  }
}

/** Until it is done: the next update may be an hour away. */
async function keep(
  options: NatsFollowOptions,
  build: () => ReturnType<typeof buildSvidFiles>,
): Promise<void> {
  const { folder, clock, log, signal } = options;
  while (!signal.aborted) {
    try {
      if (await writeSvidFiles(folder, build())) reload(options);
      options.onCurrent();
      return;
    } catch (error) {
      log.error({ reason: messageOf(error) }, 'the files of nats-server are not up to date');
      await pause(clock, RETRY_MS, signal);
    }
  }
}

function reload({ folder, pidFile, log }: NatsFollowOptions): void {
  const pid = pidFile === undefined ? undefined : findNatsServer(pidFile);
  if (pid !== undefined) process.kill(pid, 'SIGHUP');
  log.info({ folder, pid }, 'the files of nats-server were written');
}

/** Undefined when it does not run: it will find the files when it starts. SIGHUP would end any other program. */
function findNatsServer(pidFile: string): number | undefined {
  try {
    const pid = Number(readFileSync(pidFile, 'latin1').trim());
    if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
    return readFileSync(`/proc/${pid}/comm`, 'latin1').trim() === 'nats-server' ? pid : undefined;
  } catch {
    return undefined;
  }
}
