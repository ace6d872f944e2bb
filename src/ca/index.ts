/** Authorities, key managers, rotation slots; signs X509-SVIDs. */
export { createThrowawayCa } from './ca-certificate.ts';
export type { X509AuthorityStatus, X509CaStatus } from './ca-status.ts';
export { loadDiskKeyManager } from './disk-key-manager.ts';
export type { KeyManager } from './key-manager.ts';
export { createMemoryKeyManager } from './memory-key-manager.ts';
export { createX509Ca, type IssuedX509Svid, type X509Ca } from './x509-ca.ts';
export type { X509CaOptions } from './x509-ca-options.ts';
