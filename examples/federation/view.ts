import type { Seen } from '../../test/programs/rotation-watch.ts';
import type { TrafficCounts } from '../../test/programs/traffic.ts';
import type { Drawing } from '../view.ts';

/** What a view is drawn from. */
export interface FederationState {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly fromA: TrafficCounts;
  readonly fromB: TrafficCounts;
  /** Milliseconds of each root so far, from A to an Envoy in B. */
  readonly arrivalsMs: readonly number[];
  readonly envoys: readonly Seen[];
  readonly now: number;
}

/** The screen, and the counts. */
export const drawing: Drawing<FederationState> = {
  screen: screenLines,
  line: ({ fromA, fromB }) => `A -> B ${requestsLine(fromA)}; B -> A ${requestsLine(fromB)}`,
  elapsedSeconds: ({ elapsedSeconds }) => elapsedSeconds,
};

/** What this demo is about. */
export function arrivalLine(tookMs: number): string {
  return `root rotated in A -> Envoy in B trusts it: ${tookMs.toFixed(0)} ms`;
}

function screenLines(state: FederationState): string[] {
  const { arrivalsMs, fromA, fromB, envoys, now } = state;
  const clock = `${state.elapsedSeconds.toFixed(0)} s of ${state.totalSeconds} s`;
  const last = arrivalsMs.at(-1);
  return [
    `trustplane federation demo   ${clock}   Ctrl-C ends it`,
    '',
    '         a.test                                b.test',
    '  client -> Envoy  ======== mTLS =======>  Envoy -> server',
    `           ${requestsLine(fromA)}`,
    '  server <- Envoy  <======= mTLS ========  Envoy <- client',
    `           ${requestsLine(fromB)}`,
    '  trustplane -> NATS  --- leaf node --->  NATS -> trustplane',
    '',
    `  ${last === undefined ? 'the first root is under way' : arrivalLine(last)}`,
    `  all so far: ${arrivalsMs.map((ms) => ms.toFixed(0)).join(', ')}`,
    '',
    ...envoys.map(
      (seen) =>
        `  ${seen.spiffeId}  expires in ${remaining(seen, now)} s, ` +
        `${seen.rotations} rotations under ${seen.caRotations + 1} authorities`,
    ),
  ];
}

function requestsLine({ ok, failed, p50Ms, p99Ms }: TrafficCounts): string {
  return `${ok} ok, ${failed} failed, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;
}

function remaining(seen: Seen, now: number): string {
  return Math.max(0, (seen.expiresAt - now) / 1000).toFixed(1);
}
