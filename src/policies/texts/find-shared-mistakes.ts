import { assertionLines } from '../../authz/analysis/index.ts';
import type { ReadPolicy } from './read-policy.ts';

/**
 * What is wrong with policies that are right each by itself; a line for each mistake.
 * @param isWhole none was left out: what holds of all can be told
 */
export function findSharedMistakes(
  read: readonly ReadPolicy[],
  isWhole: boolean,
): readonly string[] {
  const lines = findSharedNames(
    read.map(({ policy, document }) => {
      const { line, column } = document.position(['metadata', 'name']);
      return { name: policy.metadata.name, place: `${document.file}:${line}:${column}` };
    }),
  );
  return isWhole && lines.length === 0 ? assertionLines(read) : lines;
}

/** @param named by the place of the name, as file:line:column */
export function findSharedNames(
  named: readonly { readonly name: string; readonly place: string }[],
): readonly string[] {
  const first = new Map<string, string>();
  return named.flatMap(({ name, place }) => {
    const other = first.get(name);
    first.set(name, other ?? place);
    if (other === undefined) return [];
    return [`${place}: metadata.name: "${name}" is the name of the policy at ${other} too`];
  });
}
