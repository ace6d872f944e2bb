/** The vocabulary as immutable values: SPIFFE IDs, bundles, SVIDs, selectors, entries, errors, clock; no I/O. */

export type { AgentFacts } from './agent-facts.ts';
export { attestationDigest } from './attestation-digest.ts';
export {
  type AdminEvent,
  type AttestationEvent,
  type AuditEvent,
  type AuditLog,
  auditEventKinds,
  type IssuancePurpose,
  type IssuedRecord,
  type JwtIssuanceEvent,
  type LedgerEvent,
  type LedgerFinding,
  type LedgerVerification,
  type Requester,
  type SerialHolder,
  type X509IssuanceEvent,
} from './audit-event.ts';
export { decodeBase64, decodeBase64Url } from './base64.ts';
export { buildCsr } from './build-csr.ts';
export {
  type Bundle,
  bundleDigest,
  bundleRefreshSeconds,
  bundlesEqual,
  emptyBundle,
  MAX_SEQUENCE_LEAP,
  type TokenAuthority,
  type X509Authority,
} from './bundle.ts';
export {
  type BundleDocument,
  type IgnoredKey,
  parseBundleDocument,
  readBundle,
} from './bundle-document.ts';
export { parseBundleMap, serializeBundleMap, serializeEnvoyBundleMap } from './bundle-map.ts';
export { type Certificate, parseCertificate, sameBytes } from './certificate.ts';
export { verifyCertificateChain } from './certificate-path.ts';
export { checkBundle } from './check-bundle.ts';
export type { Clock, Timer } from './clock.ts';
export { type CrlCover, coverWithCrls } from './covering-crls.ts';
export { type Crl, crlLimits, parseCrl } from './crl.ts';
export {
  constructedContextTag,
  type DerElement,
  DerReader,
  derContent,
  derEncoded,
  derTags,
  splitDerSequence,
} from './der-reader.ts';
export { derBitStringBytes, derIntegerBytes, derOid, derSmallInteger } from './der-values.ts';
export {
  asciiBytes,
  writeBitString,
  writeConstructed,
  writeDer,
  writeDirectoryString,
  writeNamedBits,
  writeNull,
  writeOctetString,
  writeOid,
  writePrimitive,
  writeSequence,
  writeSetOfOne,
  writeTime,
  writeTrue,
  writeUnsignedInteger,
} from './der-writer.ts';
export {
  type ErrorCategory,
  type ErrorCode,
  errorCodes,
  messageOf,
  TrustplaneError,
} from './errors.ts';
export { type FederationTerms, isAccepted, termsEqual } from './federation-terms.ts';
export { IdScope } from './id-scope.ts';
export { type JsonObject, type JsonValue, parseJson } from './json.ts';
export { jwsAlgorithm, type ParsedJwk, parsePublicJwk } from './jwk.ts';
export { parseAudience } from './jwt-audience.ts';
export { isSignedWith } from './jwt-signature.ts';
export {
  checkJwtSvid,
  type JwtSvid,
  type JwtVerification,
  parseJwtSvid,
  verifyJwtSvid,
} from './jwt-svid.ts';
export { generateP256KeyPair, type P256KeyPair } from './key-pair.ts';
export { type Csr, parseCsr } from './parse-csr.ts';
export { decodePem, encodePem } from './pem.ts';
export { parsePemBundle } from './pem-bundle.ts';
export {
  isPolicyFileName,
  type PolicyFile,
  type PolicyTaker,
  type PolicyTexts,
  policyFile,
  policyTextLimits,
} from './policy-texts.ts';
export { printable } from './printable.ts';
export { type PublicKeyInfo, type PublicKeyType, parsePublicKey } from './public-key.ts';
export { quote } from './quote.ts';
export { compareAge, isCurrent, type RegistrationEntry } from './registration-entry.ts';
export {
  buildRevocationIndex,
  findRevocation,
  isRevoked,
  issueInstant,
  noRevocations,
  type Revocation,
  type RevocationIndex,
  type RevocationKind,
  type RevocationSubject,
  revocationIndexKey,
  revocationKinds,
} from './revocation.ts';
export {
  formatSelector,
  knownSelectorTypes,
  parseSelector,
  type Selector,
  SelectorSet,
} from './selector.ts';
export {
  type BundleDocumentOptions,
  serializeBundleDocument,
  serializeJwks,
} from './serialize-bundle.ts';
export { findSharedKeys, type SharedKey } from './shared-keys.ts';
export { isReservedPath, SpiffeId } from './spiffe-id.ts';
export type { ResourceReport, StreamRegister, StreamReport } from './stream-report.ts';
export {
  type Suspension,
  type SuspensionKind,
  type SuspensionSource,
  type SuspensionSubject,
  suspensionKinds,
} from './suspension.ts';
export type {
  JwtIdentity,
  JwtIdentityRequest,
  TokenSource,
  WorkloadTrust,
} from './token-source.ts';
export { TrustDomain } from './trust-domain.ts';
export type { TrustMap, TrustMapSource } from './trust-map.ts';
export { selectorDigest, type WorkloadGroup, workloadGroupOf } from './workload-group.ts';
export type {
  WorkloadAttachment,
  WorkloadListener,
  WorkloadSource,
  WorkloadUpdate,
  X509Identity,
} from './workload-update.ts';
export { authorityFault } from './x509-authority.ts';
export { verifyX509Svid } from './x509-path.ts';
export { parseX509Svid, type X509Svid } from './x509-svid.ts';
