import type { RegistrationEntry } from '../spiffe/index.ts';

/** What makes an entry distinct, as a key of maps. */
export function identityOf({ parentId, spiffeId, selectors }: RegistrationEntry): string {
  return [
    parentId.path,
    spiffeId.path,
    ...selectors.map(({ type, value }) => `${type}:${value}`),
  ].join('\n');
}
