import type { EnvoyExplanation, PlacedRule } from './explain-access-log.ts';
import { formatFields, formatTable } from './table.ts';

const order: readonly EnvoyExplanation['agreement'][] = ['differs', 'unknown', 'same'];

/** Those that differ first, then in the order of the log. */
export function sortExplanations(all: readonly EnvoyExplanation[]): readonly EnvoyExplanation[] {
  return all.toSorted((a, b) => order.indexOf(a.agreement) - order.indexOf(b.agreement));
}

/** One as fields, several as a table. */
export function formatEnvoyExplanations(all: readonly EnvoyExplanation[]): string {
  const [only, ...others] = all;
  if (only !== undefined && others.length === 0) return formatOne(only);
  const hasDrafts = all.some(({ draft }) => draft !== undefined);
  const rows = all.map(({ line, caller, request, envoy, draft, engine, agreement, why }) => [
    String(line),
    agreement,
    outcome(envoy.isAllowed, envoy.by === 'check' ? 'Check' : 'RBAC', envoy.name),
    placeOf(envoy.rule),
    ...(hasDrafts ? [draftOf(draft, envoy.isAllowed)] : []),
    engine === undefined ? '' : outcome(engine.isAllowed, engine.reason, nameOf(engine.rule)),
    caller ?? '(none)',
    request ?? '',
    why ?? '',
  ]);
  const count = (which: EnvoyExplanation['agreement']): number =>
    all.filter(({ agreement }) => agreement === which).length;
  const drafted = hasDrafts ? ['draft'] : [];
  const said = ['engine says', 'caller', 'request', 'why'];
  const titles = ['line', 'engine', 'envoy', 'rule at', ...drafted, ...said];
  const sum = `${count('same')} same, ${count('differs')} differ, ${count('unknown')} unknown`;
  return [formatTable(titles, rows), sum].join('\n');
}

/** Nothing where it changes nothing. */
function draftOf(draft: EnvoyExplanation['draft'], isAllowed: boolean | undefined): string {
  return draft === undefined || draft.isAllowed === isAllowed
    ? ''
    : outcome(draft.isAllowed, 'RBAC', draft.name);
}

function formatOne(explanation: EnvoyExplanation): string {
  const { envoy, draft, engine, agreement, why, unknown, nearest } = explanation;
  const fields = formatFields([
    ['caller', explanation.caller ?? '(none)'],
    ['request', explanation.request ?? ''],
    ['envoy', outcome(envoy.isAllowed, envoy.by === 'check' ? 'Check' : 'RBAC', envoy.name)],
    ['means', envoy.means],
    ['rule', nameOf(envoy.rule) ?? ''],
    ['at', placeOf(envoy.rule)],
    ['draft', draft === undefined ? '' : outcome(draft.isAllowed, 'RBAC', draft.name)],
    ['draft at', placeOf(draft?.rule)],
    [
      'engine',
      engine === undefined ? '' : outcome(engine.isAllowed, engine.reason, nameOf(engine.rule)),
    ],
    ['engine at', placeOf(engine?.rule)],
    ['agreement', agreement],
    ['why', why ?? ''],
    ['not known', unknown.join(', ')],
  ]);
  const near = nearest.map(
    ({ policy, ruleId, field, message }) => `  ${policy}/${ruleId}: ${field}: ${message}`,
  );
  return near.length === 0 ? fields : [fields, 'nearest rules:', ...near].join('\n');
}

function outcome(isAllowed: boolean | undefined, by: string, name: string | undefined): string {
  const what = isAllowed === undefined ? 'not told' : isAllowed ? 'allow' : 'deny';
  return name === undefined ? `${what}, ${by}` : `${what}, ${by}: ${name}`;
}

function nameOf(rule: PlacedRule | undefined): string | undefined {
  return rule && `${rule.policy}/${rule.rule}`;
}

function placeOf(rule: PlacedRule | undefined): string {
  return rule === undefined ? '' : `${rule.file}:${rule.line}:${rule.column}`;
}
