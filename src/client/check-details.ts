/** One part of a process, as it says how it is. */
export interface CheckMessage {
  readonly name?: string;
  readonly healthy?: boolean;
  readonly message?: string;
  readonly detail?: string;
}

/** What parts serve, or go by, by their names. */
export function buildDetails(
  checks: readonly CheckMessage[] = [],
): Readonly<Record<string, string>> {
  const told = checks.filter(({ detail = '' }) => detail !== '');
  return Object.fromEntries(told.map(({ name = '', detail = '' }) => [name, detail]));
}
