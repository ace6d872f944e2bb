import type { Times } from './edits.ts';
import { type DraftCount, draftRules, type Evidence } from './evidence.ts';
import type { Outage } from './outage.ts';
import type { Variant } from './variants.ts';

/** How often a check was made, and what came of it that should not have. */
export interface Counted {
  readonly name: string;
  readonly expected: string;
  readonly times: number;
  readonly failures: readonly string[];
}

/** What was seen. */
export interface Seen extends Evidence {
  readonly variant: Variant;
  readonly seconds: number;
  readonly checks: readonly Counted[];
  /** Of each edit: milliseconds from the saved file to the first request decided by it, at each Envoy. */
  readonly editsMs: readonly Times[];
  readonly outage: Outage;
  readonly draft: readonly DraftCount[];
  /** The same for a draft that is enforced; undefined where there is none. */
  readonly enforcedMs: Times | undefined;
  /** From the deletion of an entry to the first refused request. */
  readonly dismissedMs: Times;
}

/** How the demo went. */
export interface Summary extends Omit<Seen, 'variant'> {
  readonly variant: string;
  readonly passed: boolean;
  /** Why it did not pass. */
  readonly faults: readonly string[];
}

/** Judges. */
export function summarize({ variant, ...seen }: Seen): Summary {
  const { checks, editsMs, outage, enforcedMs = [], dismissedMs, denied, deciders } = seen;
  const ignored = (what: string, ...times: readonly Times[]): readonly string[] =>
    times.flat().includes(Infinity) ? [`${what} was not obeyed`] : [];
  const faults = [
    ...checks.flatMap(({ name, expected, times, failures }) => [
      ...(times === 0 ? [`${name}: never tried`] : []),
      ...(failures.length > 0
        ? [`${name}: expected ${expected}, got ${[...new Set(failures)].join(', ')}`]
        : []),
    ]),
    ...(editsMs.length === 0 ? ['no rule was edited'] : []),
    ...ignored('an edited rule', ...editsMs),
    ...(outage.wrong.length > 0
      ? [`while the agent was dead: ${[...new Set(outage.wrong)].join(', ')}`]
      : []),
    ...ignored('a rule that was edited while the agent was dead', outage.backMs),
    ...ignored('a draft that is enforced', enforcedMs),
    ...(variant.hasDraft && seen.draft.length !== draftRules.length
      ? ['a rule of the draft counted nothing']
      : []),
    ...ignored('a revocation', dismissedMs),
    ...(seen.revokedBy === '' ? ['no line of the access log says revoked'] : []),
    ...(/^at +.*shop\.yaml:\d+:\d+$/mu.test(denied.text) && /^agreement +same$/mu.test(denied.text)
      ? []
      : [`the denied request is not explained: ${denied.text}`]),
    ...(!variant.hasCheck && deciders.check > 0 ? ['Check was asked'] : []),
  ];
  return { ...seen, variant: variant.name, passed: faults.length === 0, faults };
}

/** The summary for people. */
export function summaryText(summary: Summary): string {
  const { checks, editsMs, outage, draft, enforcedMs, dismissedMs, deciders, faults } = summary;
  const requests = checks.reduce((sum, { times }) => sum + times, 0);
  const failed = checks.reduce((sum, { failures }) => sum + failures.length, 0);
  return [
    'a line of the access log:',
    ...logFields(summary).map((line) => `  ${line}`),
    'and explained:',
    ...summary.denied.text.split('\n').map((line) => `  ${line}`),
    '',
    `${summary.seconds} s, variant ${summary.variant}: ${requests} requests of ${checks.length} kinds to two Envoys, ` +
      `${failed} not answered as they should`,
    `decided by Envoy ${deciders.envoy}, by Check ${deciders.check}, by nobody ${deciders.nobody}`,
    `${editsMs.length} rules edited: saved -> obeyed after ${medianOf(editsMs, 0)} and ${medianOf(editsMs, 1)} ms ` +
      `(median of each Envoy), ${Math.max(...editsMs.flat()).toFixed(0)} ms (slowest)`,
    `the agent was dead for ${outage.seconds} s: ${outage.requests} requests, ${outage.wrong.length} not answered as they should; ` +
      `back, and the rule edited meanwhile obeyed after ${timesText(outage.backMs)}`,
    ...(enforcedMs === undefined
      ? []
      : [
          `the draft in shadow: ${draft.map(draftText).join(', ')}`,
          `the draft was enforced: obeyed after ${timesText(enforcedMs)}`,
        ]),
    `web was dismissed, its certificate good for an hour: denied as revoked after ${timesText(dismissedMs)}`,
    summary.passed ? 'PASSED' : `FAILED: ${faults.join('; ')}`,
  ].join('\n');
}

/** `reports-closed would have denied 13`. */
export function draftText({ rule, outcome, count }: DraftCount): string {
  return `${rule} would have ${outcome} ${count}`;
}

/** What of the line says who decided. */
function logFields({ denied: { line } }: Pick<Summary, 'denied'>): readonly string[] {
  const { method, path, status, details, rbac, extAuthz } = line;
  const fields = {
    method,
    path,
    status,
    details,
    ...(rbac && { rbac }),
    ...(extAuthz && { extAuthz }),
  };
  return Object.entries(fields).map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
}

/** `41 and 43 ms`. */
export function timesText(times: Times): string {
  return `${times.map((ms) => ms.toFixed(0)).join(' and ')} ms`;
}

/** Of the Envoy at that place. */
export function medianOf(all: readonly Times[], at: number): string {
  const sorted = all.map((times) => times[at] ?? 0).sort((a, b) => a - b);
  return (sorted.at(Math.floor(sorted.length / 2)) ?? 0).toFixed(0);
}
