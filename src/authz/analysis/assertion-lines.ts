import type { Policy } from '../policy.ts';
import { checkAssertions } from './check-assertions.ts';

/** A policy, and the document that can say where each of its parts stands. */
export interface PlacedPolicy {
  readonly policy: Policy;
  readonly document: {
    readonly file: string;
    position(path: readonly PropertyKey[]): { readonly line: number; readonly column: number };
  };
}

/** Each assertion that does not hold over all the policies, or cannot be proven, as file:line:column: path: message. */
export function assertionLines(placed: readonly PlacedPolicy[]): string[] {
  const documents = new Map(placed.map((one) => [one.policy.metadata.name, one.document]));
  return checkAssertions(placed.map(({ policy }) => policy)).flatMap(
    ({ policy, path, message }) => {
      const document = documents.get(policy);
      if (document === undefined) return [];
      const { line, column } = document.position(path);
      return [`${document.file}:${line}:${column}: ${path.join('.')}: ${message}`];
    },
  );
}
