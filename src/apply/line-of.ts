import type { LocatedYaml } from '../ops/index.ts';

/** A mistake as `file:line:column: field: message`. */
export function lineOf(
  located: LocatedYaml,
  path: readonly PropertyKey[],
  message: string,
): string {
  const { line, column } = located.position(path);
  const name = path.length === 0 ? '' : `${path.map(String).join('.')}: `;
  return `${located.file}:${line}:${column}: ${name}${message}`;
}
