/** Bounds of one apply. */
export const applyLimits = {
  /** Entries after templates are expanded. */
  entries: 1_000_000,
  relationships: 10_000,
  /** Combinations of one template. */
  combinations: 1_000,
  /** One file; a document in it has at most 1 MiB. */
  fileBytes: 268_435_456,
  files: 200_000,
  /** Mistakes that are told; what is behind them is only counted. */
  complaints: 10_000,
  /** Removals beyond both need a word more: a part of what the set has, and so many. */
  removedShare: 0.5,
  removedFreely: 10,
} as const;
