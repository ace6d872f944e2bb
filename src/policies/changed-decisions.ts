import { type ChangeKind, diffPolicies } from '../authz/analysis/index.ts';
import { messageOf, type PolicyFile } from '../spiffe/index.ts';
import { readPolicy } from './texts/index.ts';

type Files = readonly Pick<PolicyFile, 'name' | 'bytes'>[];

const MAX_LINES = 200;
const marks: Readonly<Record<ChangeKind, string>> = { widened: '+', narrowed: '-', remapped: '~' };

/**
 * A line for each group of requests that files decide otherwise than those before, with one of them;
 * for files that are without a mistake.
 */
export function changedDecisions(before: Files, after: Files): readonly string[] {
  try {
    const [old, young] = [before, after].map((files) =>
      files.map((file) => readPolicy(file).policy),
    );
    const { changes, settings, terms } = diffPolicies(old ?? [], young ?? []);
    const lines = [
      ...changes.map(
        ({ kind, service, before: was, after: is, witness }) =>
          `${marks[kind]} ${kind} at ${service.spiffeId ?? service.contextExtension ?? ''}: ${listed(was)} -> ${listed(is)}, as in ${witness.text}`,
      ),
      ...terms.map(
        ({ kind, service, what }) =>
          `${marks[kind]} ${kind} at ${service.spiffeId ?? service.contextExtension ?? ''}: ${what}`,
      ),
      ...settings.map(
        ({ policy, setting, before: was, after: is }) => `~ ${policy}: ${setting}: ${was} -> ${is}`,
      ),
    ];
    const more = lines.length - MAX_LINES;
    return more > 0 ? [...lines.slice(0, MAX_LINES), `and ${more} more`] : lines;
  } catch (error) {
    return [`what is decided otherwise cannot be told: ${messageOf(error)}`];
  }
}

function listed(rules: readonly string[]): string {
  return rules.length === 0 ? 'no rule' : rules.join(' and ');
}
