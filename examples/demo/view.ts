import type { Seen } from '../../test/programs/rotation-watch.ts';
import type { TrafficCounts } from '../../test/programs/traffic.ts';

/** What a view is drawn from. */
export interface DemoState {
  readonly elapsedSeconds: number;
  readonly totalSeconds: number;
  readonly requests: TrafficCounts;
  readonly envoys: readonly Seen[];
  readonly now: number;
}

/** Shows how the demo goes. */
export interface View {
  note(message: string): void;
  draw(state: DemoState): void;
  close(): void;
}

/** One screen that is drawn over, on a terminal's alternate screen. */
export function createScreen(out: NodeJS.WriteStream): View {
  let isOpen = false;
  return {
    note: (message) => void (isOpen || out.write(`${message}\n`)),
    draw: (state) => {
      if (!isOpen) out.write('\x1b[?1049h\x1b[?25l');
      isOpen = true;
      const lines = screenLines(state).map((line) => `${line.slice(0, out.columns || 80)}\x1b[K`);
      out.write(`\x1b[H${lines.join('\n')}\x1b[J`);
    },
    close: () => {
      if (isOpen) out.write('\x1b[?1049l\x1b[?25h');
      isOpen = false;
    },
  };
}

/** A line for each event, and one with the counts every five seconds. */
export function createLines(out: NodeJS.WritableStream): View {
  let nextSecond = 0;
  return {
    note: (message) => void out.write(`${message}\n`),
    draw: ({ elapsedSeconds, requests }) => {
      if (elapsedSeconds < nextSecond) return;
      nextSecond = elapsedSeconds + 5;
      out.write(`${elapsedSeconds.toFixed(0)} s: ${requestsLine(requests)}\n`);
    },
    close: () => {},
  };
}

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
