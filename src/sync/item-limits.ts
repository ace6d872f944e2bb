/** What one item may hold when a server sends it; at least what trustplane and SPIRE servers accept. */
export const itemLimits = {
  /** Of an encoded item. */
  bytes: 1_048_576,
  selectors: 1024,
  federatesWith: 1024,
  dnsNames: 1024,
  /** WLAPI: hints above this are not supported. */
  hintBytes: 1024,
  /** 9999-12-31T23:59:59Z, the last instant X.509 can write. */
  instantSeconds: 253_402_300_799,
  /** Of a trust domain's terms. */
  scopes: 1024,
  /** Of a revocation's subject and reason. */
  textBytes: 4096,
} as const;
