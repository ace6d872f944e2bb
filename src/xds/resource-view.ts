import type { Resource } from './resource.ts';

/**
 * Why a name stands for nothing that is to be sent.
 * - `pending`: it may still come. What was sent on this stream is taken back; what the client brought
 *   from an earlier one stays.
 * - `refused`: the caller is known and may not have it, or it does not exist, which looks the same.
 *   What the client holds is taken back; one that holds nothing waits.
 * - `absent`: as `refused`, and a delta client that waits for it is told so.
 * - `withheld`: what there is must not be sent, and what the client holds is no worse.
 */
export type Absence = 'pending' | 'refused' | 'absent' | 'withheld';

/** What one caller may see of one type at one moment. */
export interface ResourceView {
  /** What a wildcard stands for. */
  readonly names: readonly string[];
  /** `isDeclined`: the client refuses the whole form, and is to be given the lesser one. */
  resolve(name: string, now: number, isDeclined: boolean): Resource | Absence;
  /**
   * What takes a name back from a client that lost it, by content; undefined: it is removed, which
   * delta alone can say.
   */
  withdrawal(name: string): Resource | undefined;
}
