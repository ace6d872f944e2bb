/**
 * Policies compiled into one block of bytes. It crosses threads as it is, where there is a
 * SharedArrayBuffer without a copy, and takes the same few milliseconds to open however many rules it has.
 */
export interface PlanImage {
  /** Names the set of policies in logs. */
  readonly digest: string;
  readonly rules: number;
  readonly bytes: Uint8Array;
}
