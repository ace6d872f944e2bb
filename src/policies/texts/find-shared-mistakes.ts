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
    read.map(({ policy, document }) => ({
      name: policy.metadata.name,
      place: () => placeOfName(document),
    })),
  );
  return isWhole && lines.length === 0 ? assertionLines(read) : lines;
}

/** A policy's name, and where it stands, as file:line:column, which is asked for only if it is to be told. */
interface NamedPolicy {
  readonly name: string;
  readonly place: () => string;
}

export function findSharedNames(named: readonly NamedPolicy[]): readonly string[] {
  const first = new Map<string, NamedPolicy>();
  return named.flatMap((one) => {
    const { name } = one;
    const other = first.get(name);
    first.set(name, other ?? one);
    if (other === undefined) return [];
    return [
      `${one.place()}: metadata.name: "${name}" is the name of the policy at ${other.place()} too`,
    ];
  });
}

export function placeOfName(document: ReadPolicy['document']): string {
  const { line, column } = document.position(['metadata', 'name']);
  return `${document.file}:${line}:${column}`;
}
