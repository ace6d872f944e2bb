/** Bounds of what is kept of foreign trust domains. */
export const federationLimits = {
  /** Of which there is a bundle, or a relationship. */
  trustDomains: 10_000,
  /** A bundle as it is stored: what every store takes, and less than a gRPC message may have. */
  bundleBytes: 1_000_000,
  urlBytes: 2_048,
  webCaBytes: 65_536,
  /** Of accepted IDs, in one relationship. */
  scopes: 64,
  /** One answer of a list; the bytes are of the records as stored. */
  page: { items: 1_000, bytes: 2_097_152 },
} as const;
