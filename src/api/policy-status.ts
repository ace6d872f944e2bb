import type { ServerWritableStream } from '@grpc/grpc-js';
import type { PolicyRegistry, PolicyTakers, PolicyVersion } from '../policies/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { buildTakingAgent, buildVersion } from './policy-messages.ts';
import { writePaced } from './write-paced.ts';

export interface PolicyStatusOptions {
  readonly policies: Pick<PolicyRegistry, 'version' | 'versionOf' | 'fault' | 'watch'>;
  readonly takers: Pick<PolicyTakers, 'list' | 'watch'>;
  readonly serverId: string;
  readonly clock: Clock;
}

export type StatusCall = ServerWritableStream<{ readonly follow?: boolean }, object>;

const AGENTS_PER_PART = 1_000;
/** What changes meanwhile is told together. */
const GATHER_MS = 20;

/** Sends who has which version in force, and where it is asked for again after each change until the caller leaves. */
export async function sendPolicyStatus(
  options: PolicyStatusOptions,
  call: StatusCall,
): Promise<void> {
  const { policies, takers } = options;
  let change = Promise.withResolvers<void>();
  const wake = (): void => change.resolve();
  const stops = [policies.watch(wake), takers.watch(wake)];
  for (const event of ['cancelled', 'close', 'error']) call.once(event, wake);
  try {
    do {
      change = Promise.withResolvers<void>();
      for (const part of buildStatus(options)) {
        if (call.cancelled) return;
        await writePaced(call, part);
      }
      if (call.request.follow !== true) break;
      await change.promise;
      await pause(options.clock);
    } while (!call.cancelled && !call.destroyed);
    call.end();
  } finally {
    for (const stop of stops) stop();
  }
}

function* buildStatus({ policies, takers, serverId }: PolicyStatusOptions): Generator<object> {
  const version: PolicyVersion | undefined = policies.version;
  const agents = takers
    .list()
    .map((agent) => buildTakingAgent(agent, version?.hash, (hash) => policies.versionOf(hash)));
  const first = {
    ...(version && { version: buildVersion(version) }),
    fault: policies.fault ?? '',
    server_id: serverId,
  };
  for (let at = 0; at === 0 || at < agents.length; at += AGENTS_PER_PART) {
    const isLast = at + AGENTS_PER_PART >= agents.length;
    yield {
      ...(at === 0 && first),
      agents: agents.slice(at, at + AGENTS_PER_PART),
      is_last: isLast,
    };
  }
}

async function pause(clock: Clock): Promise<void> {
  await new Promise<void>((resolve) => clock.setTimer(GATHER_MS, resolve));
}
