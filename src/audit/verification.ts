/** One thing that is not as it was written. */
export interface Finding {
  readonly file: string;
  /** From 1; 0: the file as a whole. */
  readonly line: number;
  readonly what: string;
}

/** What a look at the whole chain found. */
export interface Verification {
  readonly findings: readonly Finding[];
  readonly files: number;
  readonly records: number;
  readonly bytes: number;
  /** What is there, by sequence number; undefined: nothing. */
  readonly first: { readonly sequenceNumber: number; readonly at: number } | undefined;
  readonly last:
    | { readonly sequenceNumber: number; readonly at: number; readonly hash: string }
    | undefined;
  /** Whether both ends were compared with a head record that is good. */
  readonly isAnchored: boolean;
  /** What a crash left at the end that was never acknowledged; the server cuts it off when it starts. */
  readonly unacknowledgedBytes: number;
}
