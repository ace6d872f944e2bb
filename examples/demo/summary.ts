import type { Seen } from '../../test/programs/rotation-watch.ts';
import type { SidecarPair } from '../../test/programs/sidecar-pair.ts';
import type { TrafficCounts } from '../../test/programs/traffic.ts';

/** How the demo went. */
export interface Summary {
  readonly passed: boolean;
  /** Why it did not pass. */
  readonly faults: readonly string[];
  readonly seconds: number;
  readonly requests: TrafficCounts;
  readonly envoys: readonly Seen[];
  /** Of all mTLS handshakes between the two Envoys. */
  readonly handshakes: number;
  readonly resumedSessions: number;
}

/** Seconds within which a certificate, or an authority, must have changed at least once. */
const leafPaceSeconds = 6;
const authorityPaceSeconds = 28;

/** Reads the Envoys' own counters and judges. */
export async function summarize(
  pair: SidecarPair,
  seconds: number,
  requests: TrafficCounts,
  envoys: readonly Seen[],
): Promise<Summary> {
  const handshakes = await counter(pair, 'ssl.handshake');
  const resumedSessions = await counter(pair, 'ssl.session_reused');
  const faults = [
    requests.failed > 0 ? `${requests.failed} requests failed` : undefined,
    requests.ok === 0 ? 'no request got through' : undefined,
    resumedSessions > 0 ? `${resumedSessions} TLS sessions were resumed` : undefined,
    ...['client', 'server'].map((name) => paceFault(name, envoys, seconds)),
  ].filter((fault) => fault !== undefined);
  const passed = faults.length === 0;
  return { passed, faults, seconds, requests, envoys, handshakes, resumedSessions };
}

function paceFault(name: string, envoys: readonly Seen[], seconds: number): string | undefined {
  const seen = envoys.find(({ envoy }) => envoy === name);
  if (seen === undefined) return `the ${name}'s Envoy showed no certificate`;
  const wanted = [
    Math.floor(seconds / leafPaceSeconds),
    Math.floor(seconds / authorityPaceSeconds),
  ];
  if (seen.rotations >= (wanted[0] ?? 0) && seen.caRotations >= (wanted[1] ?? 0)) return undefined;
  return (
    `the ${name}'s Envoy saw ${seen.rotations} new certificates and ${seen.caRotations} new ` +
    `authorities in ${seconds} s, expected at least ${wanted.join(' and ')}`
  );
}

async function counter(pair: SidecarPair, name: string): Promise<number> {
  const stats = await pair.server.stats(name);
  return [...stats].reduce((sum, [key, value]) => (key.endsWith(name) ? sum + value : sum), 0);
}

/** The summary for people. */
export function summaryText(summary: Summary): string {
  const { requests, envoys, seconds } = summary;
  const lines = [
    `${seconds} s of requests: ${requests.ok} ok, ${requests.failed} failed; ` +
      `latency p50 ${requests.p50Ms.toFixed(1)} ms, p99 ${requests.p99Ms.toFixed(1)} ms`,
    ...envoys.map(
      (seen) =>
        `${seen.envoy}: ${seen.spiffeId} rotated ${seen.rotations} times, ` +
        `under ${seen.caRotations + 1} authorities`,
    ),
    `${summary.handshakes} mTLS handshakes, ${summary.resumedSessions} resumed sessions`,
    ...requests.failures,
    summary.passed ? 'PASSED' : `FAILED: ${summary.faults.join('; ')}`,
  ];
  return lines.join('\n');
}
