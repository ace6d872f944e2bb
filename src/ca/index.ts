/** Authorities, key managers, rotation slots; signs X509-SVIDs. */

export type { AuthorityState } from './authority.ts';
export type { AuthorityPublisher } from './authority-publisher.ts';
export { createThrowawayCa } from './ca-certificate.ts';
export type { X509AuthorityStatus, X509CaStatus } from './ca-status.ts';
export { type DiskKeyManagerOptions, loadDiskKeyManager } from './disk-key-manager.ts';
export type { NameAttribute } from './distinguished-name.ts';
export { type KeyManager, type KeyType, keyTypes, type SigningKey } from './key-manager.ts';
export type { X509SvidRequest } from './leaf-request.ts';
export { defaultX509SvidProfile, type X509SvidProfile } from './leaf-template.ts';
export { createMemoryKeyManager } from './memory-key-manager.ts';
export type { RotationEvent, RotationFailure } from './rotation.ts';
export { createX509Ca, type IssuedX509Svid, type X509Ca, type X509CaOptions } from './x509-ca.ts';
