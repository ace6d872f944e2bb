import type { Callers, Line } from './callers.ts';
import { exports, reads, search } from './checks.ts';
import type { Times } from './edits.ts';
import { ruleObeyed, saveRule } from './edits.ts';
import type { Place } from './launch.ts';

/** What happened while the agent was dead. */
export interface Outage {
  readonly seconds: number;
  readonly requests: number;
  /** As in `GET /items/7 503`. */
  readonly wrong: readonly string[];
  /** From the agent's being ready again to the first request decided by a rule that was edited meanwhile. */
  readonly backMs: Times;
}

const OUTAGE_MS = 2_000;

/** Kills the agent, edits a rule, which nobody can hear of, goes on asking, and starts it again. */
export async function killAgent(place: Place, callers: readonly Callers[]): Promise<Outage> {
  const { allowed, denied, search: searched } = place.variant.whileDead;
  const asked: readonly (readonly [Line, number])[] = [
    [reads, allowed],
    [exports, denied],
    [search, searched],
  ];
  await place.killAgent();
  const begin = performance.now();
  saveRule(place, true);
  const wrong: string[] = [];
  let requests = 0;
  while (performance.now() < begin + OUTAGE_MS)
    for (const [line, expected] of asked) {
      const seen = await Promise.all(callers.map(async ({ web }) => await web(line)));
      requests += seen.length;
      wrong.push(
        ...seen.filter((one) => one !== String(expected)).map((one) => `${line.line} ${one}`),
      );
    }
  const seconds = Math.round((performance.now() - begin) / 100) / 10;
  await place.startAgent();
  const backMs = await ruleObeyed(callers, true, performance.now());
  saveRule(place, false);
  await ruleObeyed(callers, false, performance.now());
  return { seconds, requests, wrong, backMs };
}
