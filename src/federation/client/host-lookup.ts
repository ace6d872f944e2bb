import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { performance } from 'node:perf_hooks';
import { Lane } from './lane.ts';

/** An answer that takes longer keeps a thread of the process from others. */
const SLOW_MS = 1_000;
const MAX_SLOW_HOSTS = 1_000;

const quickLane = new Lane(2);
const slowLane = new Lane(1);
const slowHosts = new Set<string>();

/** The system's resolver. Names that took long before wait for each other, and nobody else for them. */
export const lookUpHost: LookupFunction = (host, options, callback) => {
  const lane = slowHosts.has(host) ? slowLane : quickLane;
  void lane.run(
    () =>
      new Promise<void>((resolve) => {
        const startedAt = performance.now();
        lookup(host, options, (...answer) => {
          note(host, performance.now() - startedAt > SLOW_MS);
          resolve();
          callback(...answer);
        });
      }),
  );
};

function note(host: string, isSlow: boolean): void {
  slowHosts.delete(host);
  if (!isSlow) return;
  const [oldest] = slowHosts;
  if (slowHosts.size === MAX_SLOW_HOSTS && oldest !== undefined) slowHosts.delete(oldest);
  slowHosts.add(host);
}
