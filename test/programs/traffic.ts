import { Agent } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { SidecarPair } from './sidecar-pair.ts';

/** What has become of the requests so far. */
export interface TrafficCounts {
  readonly ok: number;
  readonly failed: number;
  /** What went wrong, at most ten. */
  readonly failures: readonly string[];
  /** Milliseconds, over the last 2,000 requests; 0 before the first. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Requests that flow until they are stopped. */
export interface Traffic {
  counts(): TrafficCounts;
  /** Resolves when the requests under way have ended. */
  stop(): Promise<void>;
}

const pauseMs = 10;
const maxSamples = 2000;

/** Sends requests from two clients: one keeps its connection, one opens a new one each time. */
export function startTraffic(pair: SidecarPair): Traffic {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const samples: number[] = [];
  const failures: string[] = [];
  let ok = 0;
  let failed = 0;
  const stopped = new AbortController();
  const send = async (reused?: Agent) => {
    const begin = performance.now();
    try {
      const { status, body } = await pair.request(reused);
      if (status !== 200) throw new Error(`HTTP ${status} ${body}`);
      ok += 1;
    } catch (error) {
      failed += 1;
      if (failures.length < 10) failures.push(`${new Date().toISOString()} ${String(error)}`);
    }
    if (samples.push(performance.now() - begin) > maxSamples) samples.shift();
  };
  const client = async (reused?: Agent) => {
    while (!stopped.signal.aborted) {
      await send(reused);
      await delay(pauseMs);
    }
  };
  const clients = [client(agent), client()];
  return {
    counts: () => ({ ok, failed, failures, p50Ms: rank(samples, 0.5), p99Ms: rank(samples, 0.99) }),
    stop: async () => {
      stopped.abort();
      await Promise.all(clients);
      agent.destroy();
    },
  };
}

/** Nearest rank. */
function rank(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
}
