/** Bounds of one fetch of a bundle. */
export const fetchLimits = {
  /** Name, TCP and TLS of one hop. */
  connectMs: 10_000,
  /** Everything, redirects too. */
  totalMs: 30_000,
  /** Of the body, as it comes over the wire: compressed ones are refused. */
  bodyBytes: 1_048_576,
  /** Of one answer, and again of its trailers. */
  headerBytes: 16_384,
  headers: 100,
  /** How many are followed unless told otherwise. */
  redirects: 3,
} as const;
