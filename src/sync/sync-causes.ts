/** trustplane.sync.v1.Cause: where in a trace the change of an entry stands. */
export interface WireCause {
  readonly entry_id?: string;
  readonly traceparent?: string;
}

/** Of one update; changes of more entries are not followed. */
export const MAX_CAUSES = 16;
