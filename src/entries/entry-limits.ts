/** Bounds of a registration entry. Counts are after duplicates are removed; lengths are UTF-8 bytes. */
export const entryLimits = {
  idBytes: 255,
  selectors: 64,
  federatesWith: 1024,
  dnsNames: 64,
  dnsNameBytes: 253,
  dnsLabelBytes: 63,
  /** WLAPI: hints above this are not supported. */
  hintBytes: 1024,
  /** 365 days. */
  ttlSeconds: 31_536_000,
  /** 9999-12-31T23:59:59Z, the last instant X.509 can write. */
  expiresAtSeconds: 253_402_300_799,
  /** The whole entry as it is stored. */
  recordBytes: 65_536,
} as const;
