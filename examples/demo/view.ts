import type { Seen } from '../../test/programs/rotation-watch.ts';
import type { TrafficCounts } from '../../test/programs/traffic.ts';
import type { Drawing } from '../view.ts';

/** What a view is drawn from. */
export interface DemoState {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly requests: TrafficCounts;
  readonly envoys: readonly Seen[];
  readonly now: number;
}

/** The screen, and the counts. */
export const drawing: Drawing<DemoState> = {
  screen: screenLines,
  line: ({ requests }) => requestsLine(requests),
  elapsedSeconds: ({ elapsedSeconds }) => elapsedSeconds,
};

/** An event for `note`. */
export function rotationLine(seen: Seen, now: number): string {
  const what = seen.rotations === 0 ? 'has its first' : 'rotated to';
  return (
    `${seen.envoy}: ${seen.spiffeId} ${what} certificate ${seen.serialNumber}, ` +
    `expires in ${remaining(seen, now)} s, authority ${short(seen.authority)}`
  );
}

function screenLines(state: DemoState): string[] {
  const clock = `${state.elapsedSeconds.toFixed(0)} s of ${state.totalSeconds} s`;
  return [
    `trustplane demo   ${clock}   Ctrl-C ends it`,
    '',
    '  client -> Envoy == mTLS ==> Envoy -> server',
    '',
    ...state.envoys.flatMap((seen) => [
      `  ${seen.envoy} Envoy   ${seen.spiffeId}`,
      `    serial      ${seen.serialNumber}`,
      `    expires in  ${remaining(seen, state.now)} s`,
      `    authority   ${short(seen.authority)}`,
      `    rotations   ${seen.rotations} certificates, ${seen.caRotations} authorities`,
      '',
    ]),
    `  ${requestsLine(state.requests)}`,
  ];
}

function requestsLine({ ok, failed, p50Ms, p99Ms }: TrafficCounts): string {
  return `requests ${ok} ok, ${failed} failed   p50 ${p50Ms.toFixed(1)} ms   p99 ${p99Ms.toFixed(1)} ms`;
}

function remaining(seen: Seen, now: number): string {
  return Math.max(0, (seen.expiresAt - now) / 1000).toFixed(1);
}

function short(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').slice(0, 16).toLowerCase();
}
