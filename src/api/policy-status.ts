import type { ServerWritableStream } from '@grpc/grpc-js';
import { pause } from '../ops/index.ts';
import type { PolicyRegistry, PolicyTakers, PolicyVersion } from '../policies/index.ts';
import type { ServerDirectory } from '../servers/index.ts';
import type { Clock } from '../spiffe/index.ts';
import { joinTakers } from './join-takers.ts';
import { buildServerSummary, buildTakingAgent, buildVersion } from './policy-messages.ts';
import { writePaced } from './write-paced.ts';

export interface PolicyStatusOptions {
  readonly policies: Pick<PolicyRegistry, 'version' | 'versionOf' | 'fault' | 'watch'>;
  readonly takers: Pick<PolicyTakers, 'list' | 'watch'>;
  readonly serverId: string;
  /** The servers that share the store; undefined: there are no others. */
  readonly directory: Pick<ServerDirectory, 'others' | 'isCurrent' | 'watch'> | undefined;
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
  const { policies, takers, directory } = options;
  let change = Promise.withResolvers<void>();
  const wake = (): void => change.resolve();
  const stops = [policies.watch(wake), takers.watch(wake), directory?.watch(wake)];
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
      await pause(options.clock, GATHER_MS);
    } while (!call.cancelled && !call.destroyed);
    call.end();
  } finally {
    for (const stop of stops) stop?.();
  }
}

function* buildStatus(options: PolicyStatusOptions): Generator<object> {
  const { policies, takers, serverId, directory } = options;
  const version: PolicyVersion | undefined = policies.version;
  const joined = joinTakers({ serverId, agents: takers.list() }, directory, version?.hash);
  const agents = joined.agents.map((agent) =>
    buildTakingAgent(agent, version?.hash, (hash) => policies.versionOf(hash)),
  );
  const first = {
    ...(version && { version: buildVersion(version) }),
    fault: policies.fault ?? '',
    server_id: serverId,
    servers: joined.servers.map(buildServerSummary),
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
