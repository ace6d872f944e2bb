import type { Federation } from '../../test/programs/launch-federation.ts';
import type { SidecarPair } from '../../test/programs/sidecar-pair.ts';
import type { TrafficCounts } from '../../test/programs/traffic.ts';

/** What was counted. */
export interface Counted {
  readonly seconds: number;
  readonly fromA: TrafficCounts;
  readonly fromB: TrafficCounts;
  /** Milliseconds of each root, from A to an Envoy in B. */
  readonly arrivalsMs: readonly number[];
}

/** How the demo went. */
export interface Summary extends Counted {
  readonly passed: boolean;
  /** Why it did not pass. */
  readonly faults: readonly string[];
  /** Of all mTLS handshakes between Envoys. */
  readonly handshakes: number;
  readonly resumedSessions: number;
}

/** Seconds within which a root must have been replaced at least once. */
const PACE_SECONDS = 20;

/** Reads the Envoys' own counters and judges. */
export async function summarize(
  { fromA, fromB }: Pick<Federation, 'fromA' | 'fromB'>,
  counted: Counted,
): Promise<Summary> {
  const sum = async (name: string): Promise<number> =>
    (await counter(fromA, name)) + (await counter(fromB, name));
  const [handshakes, resumedSessions] = [
    await sum('ssl.handshake'),
    await sum('ssl.session_reused'),
  ];
  const { seconds, arrivalsMs } = counted;
  const wanted = Math.max(1, Math.floor(seconds / PACE_SECONDS));
  const faults = [
    ...directionFaults('A to B', counted.fromA),
    ...directionFaults('B to A', counted.fromB),
    ...(resumedSessions > 0 ? [`${resumedSessions} TLS sessions were resumed`] : []),
    ...(arrivalsMs.length < wanted
      ? [`${arrivalsMs.length} roots arrived in ${seconds} s, expected at least ${wanted}`]
      : []),
  ];
  return { passed: faults.length === 0, faults, ...counted, handshakes, resumedSessions };
}

function directionFaults(direction: string, { ok, failed }: TrafficCounts): readonly string[] {
  if (failed > 0) return [`${failed} requests from ${direction} failed`];
  return ok > 0 ? [] : [`no request from ${direction} got through`];
}

async function counter({ server }: SidecarPair, name: string): Promise<number> {
  const stats = await server.stats(name);
  return [...stats].reduce((sum, [key, value]) => (key.endsWith(name) ? sum + value : sum), 0);
}

/** The summary for people. */
export function summaryText(summary: Summary): string {
  const { seconds, fromA, fromB, arrivalsMs } = summary;
  const lines = [
    `${seconds} s of requests`,
    `A -> B: ${requestsText(fromA)}`,
    `B -> A: ${requestsText(fromB)}`,
    `${summary.handshakes} mTLS handshakes, ${summary.resumedSessions} resumed sessions`,
    `root rotated in A ${arrivalsMs.length} times; Envoy in B trusted it after ` +
      `${arrivalsMs.map((ms) => ms.toFixed(0)).join(', ')} ms`,
    ...fromA.failures,
    ...fromB.failures,
    summary.passed ? 'PASSED' : `FAILED: ${summary.faults.join('; ')}`,
  ];
  return lines.join('\n');
}

function requestsText({ ok, failed, p50Ms, p99Ms }: TrafficCounts): string {
  return `${ok} ok, ${failed} failed; latency p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
}
