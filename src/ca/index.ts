/** Authorities, key managers, rotation slots; signs X509-SVIDs and JWT-SVIDs. */
export type { AuthorityKind } from './authority.ts';
export { createThrowawayCa } from './ca-certificate.ts';
export type { AuthorityStatus, CaStatus } from './ca-status.ts';
export { CrlPublisher } from './crl-publisher.ts';
export { type KeptCrl, lastingCrls } from './crl-record.ts';
export { CrlRegistry } from './crl-registry.ts';
export { loadDiskKeyManager } from './disk-key-manager.ts';
export { createDiskUpstream } from './disk-upstream.ts';
export { exportKeys, importKeys, readKeyIds } from './export-keys.ts';
export type { GatedX509Authority, GateState, Laggard, X509Gate } from './gate.ts';
export { joinKeyManagers } from './joined-key-manager.ts';
export { createJwtCa, type IssuedJwtSvid, type JwtCa, type JwtCaOptions } from './jwt-ca.ts';
export type { KeyManager } from './key-manager.ts';
export { loadKeyOwner } from './key-owner.ts';
export { lastingAuthorities } from './lasting-authorities.ts';
export type { AuthorityControl } from './managed-authorities.ts';
export { createMemoryKeyManager } from './memory-key-manager.ts';
export {
  joinAuthorities,
  type PeerAuthorities,
  type Peers,
  type SharedSteps,
} from './peer-authorities.ts';
export { resealKeys } from './reseal-keys.ts';
export { retireWithoutKey } from './retire-without-key.ts';
export type { IssuedSource } from './revoked-serials.ts';
export type {
  MintedAuthority,
  MintRequest,
  UpstreamAuthority,
  UpstreamTrust,
} from './upstream-authority.ts';
export { openUpstreamFollower, type UpstreamFollower } from './upstream-follower.ts';
export { createVaultClient } from './vault-client.ts';
export { createVaultKeyManager } from './vault-key-manager.ts';
export { createVaultLogin, type VaultAuth } from './vault-login.ts';
export { type AuthorityAnchor, createX509Ca, type IssuedX509Svid, type X509Ca } from './x509-ca.ts';
export type { X509CaOptions } from './x509-ca-options.ts';
