import { once } from 'node:events';
import { CHECK } from '../src/app/check-methods.ts';
import { percentile } from './measurement.ts';
import { RawGrpc } from './raw-grpc.ts';

/** Asks one server of checks: `check-load.ts SOCKET`; the requests and then orders as messages. */
export type LoadOrder =
  /** So many checks, so many of them under way at each time. */
  | { readonly kind: 'throughput'; readonly checks: number; readonly inFlight: number }
  /** So many checks at even distances. */
  | { readonly kind: 'offered'; readonly checks: number; readonly perSecond: number };
export interface LoadReport {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

const [socket = ''] = process.argv.slice(2);
process.on('disconnect', () => process.exit());
const [encoded]: (readonly string[])[] = await once(process, 'message');
const requests = (encoded ?? []).map((text) => Buffer.from(text, 'base64'));
let onAnswer: (stream: number) => void = () => {};
const client = await RawGrpc.connect(socket, CHECK, (stream, bytes) => {
  if (bytes === 0) throw new Error('a check was not answered');
  onAnswer(stream);
});
process.on('message', (order: LoadOrder) => {
  void run(order).then((report) => process.send?.(report));
});
process.send?.('ready');

async function run(order: LoadOrder): Promise<LoadReport> {
  const times: number[] = [];
  const began = performance.now();
  if (order.kind === 'throughput') await keepUnderWay(order, times);
  else await offer(order, times);
  const perSecond = (order.checks / (performance.now() - began)) * 1_000;
  return { perSecond, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99) };
}

async function keepUnderWay(
  { checks, inFlight }: Extract<LoadOrder, { kind: 'throughput' }>,
  times: number[],
): Promise<void> {
  const asked = new Map<number, number>();
  let begun = 0;
  const askNext = (): void => {
    asked.set(client.ask(requestOf(begun++)), performance.now());
  };
  await new Promise<void>((resolve) => {
    onAnswer = (stream) => {
      times.push(performance.now() - (asked.get(stream) ?? 0));
      asked.delete(stream);
      if (begun < checks) askNext();
      else if (asked.size === 0) resolve();
    };
    for (let count = 0; count < inFlight; count++) askNext();
  });
}

/** Each is timed from when it was due: a server that is late is late for all that wait. */
async function offer(
  { checks, perSecond }: Extract<LoadOrder, { kind: 'offered' }>,
  times: number[],
): Promise<void> {
  const due = new Map<number, number>();
  const began = performance.now();
  let begun = 0;
  await new Promise<void>((resolve) => {
    onAnswer = (stream) => {
      times.push(performance.now() - (due.get(stream) ?? 0));
      due.delete(stream);
      if (times.length === checks) resolve();
    };
    // Timers are too coarse by a thousand times.
    const askDue = (): void => {
      for (;;) {
        const at = began + (begun * 1_000) / perSecond;
        if (begun === checks || at > performance.now()) break;
        due.set(client.ask(requestOf(begun++)), at);
      }
      if (begun < checks) setImmediate(askDue);
    };
    askDue();
  });
}

function requestOf(count: number): Buffer {
  return requests[count % requests.length] ?? Buffer.alloc(0);
}
