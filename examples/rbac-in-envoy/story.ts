import { eventually } from '../../test/programs/eventually.ts';
import type { View } from '../view.ts';
import type { Callers } from './callers.ts';
import { attempt, checksOf, reads } from './checks.ts';
import { dismissWeb, editRule, enforceDraft, type Times } from './edits.ts';
import { type DraftCount, draftCounts, type Evidence } from './evidence.ts';
import type { Place } from './launch.ts';
import { killAgent } from './outage.ts';
import { type Seen, timesText } from './summary.ts';
import { checkLine, type RulesState } from './view.ts';

interface StoryOptions {
  readonly place: Place;
  readonly callers: readonly Callers[];
  readonly view: View<RulesState>;
  readonly totalSeconds: number;
}

/** What was seen while both Envoys ran. */
type Told = Omit<Seen, keyof Evidence>;

/** What is done one after the other, and shown. */
export function createStory({ place, callers, view, totalSeconds }: StoryOptions): {
  tell(stopped: AbortSignal): Promise<Told>;
} {
  const { variant, sidecars } = place;
  const checks = checksOf(variant).map((check) => ({
    ...check,
    times: 0,
    failures: [] as string[],
  }));
  const editsMs: Times[] = [];
  const events: string[] = [];
  let draft: readonly DraftCount[] = [];
  let begin = Date.now();
  const elapsed = (): number => (Date.now() - begin) / 1000;
  const say = (event: string): void => {
    events.push(event);
    view.note(event);
  };
  const draw = (): void => {
    const elapsedSeconds = elapsed();
    view.draw({ variant, elapsedSeconds, totalSeconds, checks, editsMs, draft, events });
  };
  const tryAll = async (): Promise<void> => {
    for (const check of checks) {
      const seen = await attempt(check, callers);
      const isFirst = check.times === 0;
      check.times += seen.length;
      const failures = seen.filter((one) => one !== check.expected);
      check.failures.push(...failures);
      if (isFirst || failures.length > 0) view.note(checkLine(check, seen));
    }
  };
  const round = async (): Promise<void> => {
    await tryAll();
    for (const mayOrder of [true, false]) {
      const times = await editRule(place, callers, mayOrder);
      if (editsMs.push(times) <= 2)
        say(`web may ${mayOrder ? '' : 'no longer '}order: saved -> obeyed ${timesText(times)}`);
    }
    if (variant.hasDraft && sidecars[0] !== undefined) draft = await draftCounts(sidecars[0]);
    draw();
  };
  const until = async (second: number, stopped: AbortSignal): Promise<void> => {
    do await round();
    while (elapsed() < second && !stopped.aborted);
  };
  return {
    async tell(stopped) {
      await eventually('both Envoys have rules', async () => {
        const seen = await Promise.all(callers.map(async ({ web }) => await web(reads)));
        return seen.every((one) => one === '200');
      });
      begin = Date.now();
      await until(totalSeconds / 2, stopped);
      say('kill -9: the agent is dead');
      draw();
      const outage = await killAgent(place, callers);
      say(`${outage.requests} requests in ${outage.seconds} s, ${outage.wrong.length} wrong`);
      say(`the agent is back: an edit from meanwhile is obeyed ${timesText(outage.backMs)} later`);
      await until(totalSeconds, stopped);
      const seconds = Math.round(elapsed() * 10) / 10;
      const enforcedMs = variant.hasDraft ? await enforceDraft(place, callers) : undefined;
      if (enforcedMs !== undefined)
        say(`the draft is enforced: saved -> obeyed ${timesText(enforcedMs)}`);
      const dismissedMs = await dismissWeb(place, callers);
      say(`web is dismissed: denied ${timesText(dismissedMs)} later`);
      draw();
      return { variant, seconds, checks, editsMs, outage, draft, enforcedMs, dismissedMs };
    },
  };
}
