/**
 * Every error trustplane raises on purpose has a stable code from this table. A code never changes
 * its meaning. The category decides the gRPC status, the HTTP status and the exit code, in
 * `wire/status.ts` alone.
 */
export type ErrorCategory =
  | 'invalid'
  | 'unauthenticated'
  | 'permission'
  | 'not-found'
  | 'already-exists'
  | 'precondition'
  | 'aborted'
  | 'exhausted'
  | 'unavailable'
  | 'unimplemented'
  | 'data-loss'
  | 'internal';

/** Code → category and a one-line meaning. One line per code, grouped by the room that raises it. */
export const errorCodes = {
  // spiffe: SPIFFE IDs and trust domains
  ERR_SPIFFE_ID_EMPTY: ['invalid', 'The SPIFFE ID is empty.'],
  ERR_SPIFFE_ID_SCHEME: ['invalid', 'The SPIFFE ID does not begin with "spiffe://".'],
  ERR_SPIFFE_ID_TOO_LONG: ['invalid', 'The SPIFFE ID has more than 2048 bytes.'],
  ERR_SPIFFE_ID_PATH: ['invalid', 'The path of the SPIFFE ID is malformed.'],
  ERR_TRUST_DOMAIN: ['invalid', 'The trust domain name is malformed.'],
  ERR_ID_SCOPE: [
    'invalid',
    'A scope is neither a SPIFFE ID of its trust domain nor one with "/**" behind it.',
  ],
  // spiffe: selectors
  ERR_SELECTOR: ['invalid', 'The selector is not of the form type:value.'],
  // spiffe: encodings
  ERR_DER: ['invalid', 'The bytes are not the strict DER that is read here.'],
  ERR_PEM: ['invalid', 'The text is not the strict PEM that is read here.'],
  ERR_JSON: ['invalid', 'The text is not the strict JSON that is read here.'],
  // spiffe: bundles
  ERR_BUNDLE: ['invalid', 'The SPIFFE bundle document is malformed.'],
  ERR_BUNDLE_MAP: ['invalid', 'The SPIFFE bundle map is malformed.'],
  ERR_CRL: ['invalid', 'The bytes are no certificate revocation list of an authority.'],
  // spiffe: X509-SVIDs, one code per rule
  ERR_CERTIFICATE: ['invalid', 'The bytes are no X.509 certificate of the Internet profile.'],
  ERR_X509_CHAIN: ['unauthenticated', 'The chain is empty or too long.'],
  ERR_X509_URI_SAN: ['unauthenticated', 'The leaf does not have exactly one URI SAN.'],
  ERR_X509_SPIFFE_ID: ['unauthenticated', 'The URI SAN of the leaf is no SPIFFE ID.'],
  ERR_X509_LEAF_PATH: ['unauthenticated', 'The SPIFFE ID of the leaf has no path.'],
  ERR_X509_LEAF_CA: ['unauthenticated', 'The leaf is a certificate authority.'],
  ERR_X509_KEY_USAGE: ['unauthenticated', 'The key usage is missing or wrong.'],
  ERR_X509_EXTENDED_KEY_USAGE: [
    'unauthenticated',
    'The extended key usage lacks serverAuth or clientAuth.',
  ],
  ERR_X509_TRUST_DOMAIN: ['unauthenticated', 'The bundle is of another trust domain.'],
  ERR_X509_NO_AUTHORITY: ['unauthenticated', 'The trust domain has no X.509 authority.'],
  ERR_X509_UNTRUSTED: ['unauthenticated', 'No authority of the bundle issued the chain.'],
  ERR_X509_SIGNATURE: ['unauthenticated', 'A signature in the chain is wrong.'],
  ERR_X509_EXPIRED: ['unauthenticated', 'A certificate of the chain has expired.'],
  ERR_X509_NOT_YET_VALID: ['unauthenticated', 'A certificate of the chain is not valid yet.'],
  ERR_X509_ISSUER_CA: ['unauthenticated', 'An issuer in the chain may not sign certificates.'],
  ERR_X509_ISSUER_ID: ['unauthenticated', 'An issuer has a SPIFFE ID it may not have.'],
  ERR_X509_PATH_LENGTH: ['unauthenticated', 'The chain is longer than an issuer allows.'],
  ERR_X509_NAME_CONSTRAINTS: ['unauthenticated', 'A name is outside what an issuer allows.'],
  ERR_X509_CRITICAL_EXTENSION: ['unauthenticated', 'A critical extension is not understood.'],
  ERR_X509_ALGORITHM: ['unauthenticated', 'A key or signature algorithm is weak, huge or unknown.'],
  // spiffe: JWT-SVIDs, one code per rule
  ERR_JWT_AUDIENCE_LIST: ['invalid', 'The audience a JWT-SVID is asked for is empty or malformed.'],
  ERR_JWT_FORMAT: ['unauthenticated', 'The token is not JWS compact serialization, or too large.'],
  ERR_JWT_ALGORITHM: ['unauthenticated', 'The signature algorithm is not allowed for the key.'],
  ERR_JWT_HEADER: ['unauthenticated', 'The header of the token has a member it may not have.'],
  ERR_JWT_KEY_ID: ['unauthenticated', 'The token does not say which key signed it.'],
  ERR_JWT_SUBJECT: ['unauthenticated', 'The subject of the token is no SPIFFE ID of a workload.'],
  ERR_JWT_AUDIENCE: ['unauthenticated', 'The token is meant for nobody, or for somebody else.'],
  ERR_JWT_TIME: ['unauthenticated', 'The token does not expire, or an instant in it is malformed.'],
  ERR_JWT_EXPIRED: ['unauthenticated', 'The token has expired.'],
  ERR_JWT_NOT_YET_VALID: ['unauthenticated', 'The token is not valid yet.'],
  ERR_JWT_TRUST_DOMAIN: ['unauthenticated', 'The trust domain of the token is not trusted.'],
  ERR_JWT_AUTHORITY: ['unauthenticated', 'The key of the token is not in the bundle, or expired.'],
  ERR_JWT_SIGNATURE: ['unauthenticated', 'The signature of the token is wrong.'],
  // spiffe: certification requests
  ERR_PUBLIC_KEY: ['invalid', 'The public key has a type or size that SVIDs may not have.'],
  ERR_CSR: ['invalid', 'The bytes are not the strict PKCS#10 request that is read here.'],
  ERR_CSR_SIGNATURE: ['invalid', 'The request is not signed with the key it carries.'],
  // ops: configuration
  ERR_DURATION: ['invalid', 'The duration is not of the form 90s or 1h30m.'],
  ERR_METRICS_ADDRESS: ['precondition', 'The address for metrics cannot be listened on.'],
  ERR_CONFIG_FILE: ['invalid', 'The configuration file cannot be read.'],
  ERR_YAML: ['invalid', 'The file is not the strict YAML that is read here.'],
  ERR_CONFIG: ['invalid', 'The configuration has unknown keys, wrong types or contradictions.'],
  ERR_FALLBACK_FOLDER: [
    'precondition',
    'The folder in /tmp belongs to another user, or others may write to it.',
  ],
  // ops: files and the data directory
  ERR_FILE_READ: ['unavailable', 'The file cannot be read.'],
  ERR_FILE_TOO_LARGE: ['invalid', 'The file has more bytes than are allowed there.'],
  ERR_FILE_WRITE: ['unavailable', 'The file cannot be written; its former content is unchanged.'],
  ERR_DATA_DIR: ['precondition', 'The data directory cannot be used.'],
  ERR_DATA_DIR_OWNER: [
    'precondition',
    'The data directory belongs to another user, or others may write to it.',
  ],
  ERR_DATA_DIR_IN_USE: ['precondition', 'Another process uses the data directory.'],
  ERR_DATA_DIR_READ_ONLY: ['precondition', 'The data directory cannot be written.'],
  ERR_DATA_DIR_FULL: ['exhausted', 'The data directory has no room left.'],
  // store
  ERR_STORE_MISSING: ['data-loss', 'There are keys, but no database that says what they are for.'],
  ERR_STORE_CONFLICT: ['aborted', 'The key is not at the revision that was expected.'],
  ERR_STORE_KEY: ['invalid', 'The key or prefix is malformed or too long.'],
  ERR_STORE_VALUE_TOO_LARGE: ['invalid', 'The value has more bytes than a record may have.'],
  ERR_STORE_COMPACTED: ['aborted', 'Changes after that revision are no longer known; list again.'],
  ERR_STORE_BUSY: ['exhausted', 'Too many operations or watchers are waiting for the store.'],
  ERR_STORE_FULL: ['exhausted', 'The disk of the store has no room left.'],
  ERR_STORE_READ_ONLY: ['unavailable', 'The store cannot be written.'],
  ERR_STORE_UNAVAILABLE: ['unavailable', 'The store is closed, or it failed.'],
  ERR_STORE_BEHIND: ['unavailable', 'What this server has read of the store lags behind.'],
  ERR_STORE_DAMAGED: ['data-loss', 'The database of the store is damaged.'],
  ERR_STORE_SCHEMA: ['precondition', 'The database was written by a newer version of trustplane.'],
  ERR_STORE_TRUST_DOMAIN: ['precondition', 'The database belongs to another trust domain.'],
  ERR_STORE_UNSAFE: ['precondition', 'The store would lose what it has acknowledged.'],
  // journal
  ERR_JOURNAL_DAMAGED: [
    'data-loss',
    'The journal of facts is damaged, or was written by a newer version of trustplane.',
  ],
  ERR_JOURNAL_TRUST_DOMAIN: ['precondition', 'The journal of facts is of another trust domain.'],
  ERR_JOURNAL_WRITE: ['unavailable', 'The journal of facts cannot be written.'],
  // audit
  ERR_AUDIT_WRITE: ['unavailable', 'The audit ledger cannot be written; nothing is issued.'],
  ERR_AUDIT_DAMAGED: ['data-loss', 'The audit ledger is not what was written.'],
  ERR_AUDIT_READ: ['unavailable', 'The audit ledger cannot be read.'],
  ERR_AUDIT_NONE: ['not-found', 'There is no audit ledger where one is looked for.'],
  ERR_AUDIT_FILTER: ['invalid', 'A filter of the audit ledger is malformed.'],
  // backup
  ERR_BACKUP_FILE: ['unavailable', 'The backup cannot be read or written.'],
  ERR_BACKUP_DAMAGED: ['data-loss', 'The backup is not what was written, or of a newer release.'],
  ERR_BACKUP_TRUST_DOMAIN: ['precondition', 'The backup is of another trust domain.'],
  ERR_KEY_EXPORT: ['precondition', 'These private keys are not part of a backup.'],
  ERR_STORE_NOT_EMPTY: ['already-exists', 'There is a state already where one is to be put.'],
  ERR_STORE_IN_USE: ['precondition', 'A server uses the store that is to be replaced or moved.'],
  ERR_STORE_MOVED: ['precondition', 'The state of this store is in another one now.'],
  ERR_STORE_FILLING: ['precondition', 'The store was not filled to the end.'],
  ERR_STORE_COPY: ['data-loss', 'The copy of a store is not what was copied.'],
  // entries
  ERR_ENTRY_ID: ['invalid', 'The entry ID is malformed.'],
  ERR_ENTRY_SPIFFE_ID: ['invalid', 'The SPIFFE ID of the entry is not one a workload may have.'],
  ERR_ENTRY_PARENT_ID: ['invalid', 'The parent ID of the entry is not one a parent may have.'],
  ERR_ENTRY_SELECTORS: [
    'invalid',
    'The selectors of the entry are missing, too many or malformed.',
  ],
  ERR_ENTRY_TTL: ['invalid', 'A lifetime of the entry is out of bounds.'],
  ERR_ENTRY_FEDERATES_WITH: ['invalid', 'The entry federates with a name it cannot.'],
  ERR_ENTRY_DNS_NAME: ['invalid', 'A DNS name of the entry is malformed.'],
  ERR_ENTRY_HINT: ['invalid', 'The hint of the entry is too long or malformed.'],
  ERR_ENTRY_EXPIRY: ['invalid', 'The expiry of the entry is out of bounds or in the past.'],
  ERR_ENTRY_STORE_SVID: ['invalid', 'The entry mixes storeSvid with what it excludes.'],
  ERR_ENTRY_TOO_LARGE: ['invalid', 'The entry is too large as a whole.'],
  ERR_ENTRY_PAGE: ['invalid', 'The page size or page token is not one of this list.'],
  ERR_ENTRY_NOT_FOUND: ['not-found', 'There is no entry with this ID.'],
  ERR_ENTRY_EXISTS: ['already-exists', 'Another entry has this parent, SPIFFE ID and selectors.'],
  ERR_ENTRY_ID_TAKEN: ['already-exists', 'Another entry has this entry ID.'],
  ERR_ENTRY_CONFLICT: ['aborted', 'The entry was changed by others at the same time; try again.'],
  ERR_ENTRY_CHANGED: ['aborted', 'The entry is another than it was when the change was planned.'],
  ERR_ENTRY_RECORD: ['data-loss', 'A stored entry is damaged or of a newer release.'],
  ERR_ENTRY_CLOSED: ['unavailable', 'The entry registry is closed.'],
  // agents
  ERR_AGENT_ID: ['invalid', 'The ID is not one of an agent of this trust domain.'],
  ERR_AGENT_ATTESTATION: ['invalid', 'An attestation is of a malformed type or selector.'],
  ERR_AGENT_VERSION: ['invalid', 'The version of an agent is too long or malformed.'],
  ERR_AGENT_TOO_LARGE: ['invalid', 'An agent has too many or too long selectors.'],
  ERR_AGENT_PAGE: ['invalid', 'The page size or page token is not one of this list.'],
  ERR_AGENT_NOT_FOUND: ['not-found', 'There is no agent with this ID.'],
  ERR_AGENT_NOT_ATTESTED: ['permission', 'The agent is not attested, or was evicted.'],
  ERR_AGENT_ATTESTED_BEFORE: [
    'permission',
    'The node is known already, and may attest once until its agent is evicted.',
  ],
  ERR_AGENT_SUSPENDED: ['permission', 'An administrator has suspended the agent.'],
  ERR_AGENT_BANNED: ['permission', 'The agent is banned.'],
  ERR_AGENT_EXPIRED: ['permission', 'The SVID of the agent has expired.'],
  ERR_AGENT_NOT_ACTIVE: [
    'permission',
    'The agent was given a newer SVID than the one it presents.',
  ],
  ERR_AGENT_MUST_REATTEST: ['permission', 'The agent renews by attesting again.'],
  ERR_AGENT_CONFLICT: ['aborted', 'The agent was changed by others at the same time; try again.'],
  ERR_AGENT_RECORD: ['data-loss', 'A stored agent is damaged or of a newer release.'],
  ERR_AGENT_CLOSED: ['unavailable', 'The registry of agents is closed.'],
  // agents: join tokens
  ERR_JOIN_TOKEN: ['invalid', 'The join token is too short, too long or malformed.'],
  ERR_JOIN_TOKEN_TTL: ['invalid', 'The lifetime of the join token is out of bounds.'],
  ERR_JOIN_TOKEN_AGENT_ID: ['invalid', 'The ID for the agent is not one a workload may have.'],
  ERR_JOIN_TOKEN_EXISTS: [
    'already-exists',
    'There is such a join token, or was one that is spent.',
  ],
  ERR_JOIN_TOKEN_UNUSABLE: ['invalid', 'The join token is unknown, spent or expired.'],
  ERR_JOIN_TOKEN_RECORD: ['data-loss', 'A stored join token is damaged or of a newer release.'],
  // ca: keys
  ERR_KEY_ID: ['invalid', 'The key ID is malformed.'],
  ERR_KEY_EXISTS: ['already-exists', 'There is a key with this ID.'],
  ERR_KEY_FILE_DAMAGED: ['data-loss', 'A key file is damaged, missing or sealed with another key.'],
  ERR_KEY_FILE_MODE: ['precondition', 'A key file is open to others or belongs to another user.'],
  ERR_KEY_PASSPHRASE: [
    'precondition',
    'The passphrase of the keys is missing, wrong or not needed.',
  ],
  ERR_VAULT_UNAVAILABLE: ['unavailable', 'Vault does not answer, or is sealed.'],
  ERR_VAULT_LOGIN: ['precondition', 'There is no token to call Vault with.'],
  ERR_VAULT_REFUSED: ['precondition', 'The policy of the token does not allow a call of Vault.'],
  ERR_VAULT_ANSWER: ['internal', 'Vault answered with something that is not expected.'],
  ERR_VAULT_KEY: ['precondition', 'A key in Vault is not one that is used here.'],
  // ca: authorities
  ERR_CA_TTL: ['invalid', 'A lifetime is out of bounds, or is over before it begins.'],
  ERR_CA_SPIFFE_ID: ['invalid', 'The SPIFFE ID is not one this authority signs for.'],
  ERR_CA_DNS_NAME: ['invalid', 'A DNS name for the certificate is malformed.'],
  ERR_CA_CLOCK: ['unavailable', 'The clock stands before the authority was made.'],
  ERR_CA_EXPIRED: ['unavailable', 'The authority has expired and the next is not active yet.'],
  ERR_CA_AUTHORITY_ID: ['not-found', 'This server has no such authority.'],
  ERR_CA_AUTHORITY_STATE: ['precondition', 'The authority is in another slot than the step needs.'],
  ERR_CA_AUTHORITY_LIMIT: ['exhausted', 'The server has too many authorities of this kind.'],
  ERR_CA_GATE: ['precondition', 'Not everybody who has to know the authority knows it yet.'],
  ERR_CA_UPSTREAM: ['precondition', 'There is no upstream authority.'],
  ERR_CA_UPSTREAM_OWNED: ['precondition', 'The authority is signed by one upstream; act on that.'],
  ERR_CA_UPSTREAM_ANSWER: ['internal', 'An upstream authority signed what cannot be used.'],
  ERR_CA_UPSTREAM_FILE: ['precondition', 'The files of the upstream authority cannot be used.'],
  ERR_CA_PATH_LENGTH: ['precondition', 'No authority may stand below this one.'],
  ERR_CA_CLOSED: ['unavailable', 'The certificate authority is closed.'],
  ERR_CA_JOURNAL: ['data-loss', 'The journal of the authorities is damaged or of a newer release.'],
  ERR_CA_KEY_MISSING: ['data-loss', 'The key of the active authority is not in the key manager.'],
  // federation
  ERR_OWN_BUNDLE: ['data-loss', 'The stored bundle is damaged or of a newer release.'],
  ERR_OWN_BUNDLE_LIMIT: ['exhausted', 'The bundle of the own trust domain holds too many keys.'],
  ERR_FEDERATION_TRUST_DOMAIN: ['invalid', 'The trust domain is not a foreign one.'],
  ERR_FEDERATION_PAGE: ['invalid', 'The page size or page token is not one of this list.'],
  ERR_FEDERATION_TOO_LARGE: ['invalid', 'The bundle or relationship is too large as a whole.'],
  ERR_FEDERATION_LIMIT: ['exhausted', 'There are bundles or relationships of too many domains.'],
  ERR_FEDERATION_CONFLICT: ['aborted', 'It was changed by others at the same time; try again.'],
  ERR_FEDERATION_RECORD: [
    'data-loss',
    'A stored federated bundle or relationship is damaged or of a newer release.',
  ],
  ERR_FEDERATION_CLOSED: ['unavailable', 'The registry of federated trust domains is closed.'],
  ERR_BUNDLE_NOT_FOUND: ['not-found', 'There is no bundle of this trust domain.'],
  ERR_BUNDLE_EXISTS: ['already-exists', 'There is a bundle of this trust domain.'],
  ERR_BUNDLE_SEQUENCE: [
    'precondition',
    'The sequence number of the bundle falls, stays with other keys, or leaps.',
  ],
  ERR_BUNDLE_IN_USE: ['precondition', 'Registration entries federate with the trust domain.'],
  ERR_RELATIONSHIP: ['invalid', 'The federation relationship is malformed or incomplete.'],
  ERR_RELATIONSHIP_CHANGED: [
    'aborted',
    'The relationship is another than it was when the change was planned.',
  ],
  ERR_RELATIONSHIP_NOT_FOUND: [
    'not-found',
    'There is no federation relationship with this trust domain.',
  ],
  ERR_RELATIONSHIP_EXISTS: [
    'already-exists',
    'There is a federation relationship with this trust domain.',
  ],
  ERR_RELATIONSHIP_CONFIGURED: [
    'precondition',
    'The federation relationship is made by the configuration; change it there.',
  ],
  ERR_FETCH_UNREACHABLE: ['unavailable', 'The bundle endpoint cannot be connected to.'],
  ERR_FETCH_TIMEOUT: ['unavailable', 'The bundle endpoint did not answer in time.'],
  ERR_FETCH_TLS: ['unauthenticated', 'The certificate of the bundle endpoint is not trusted.'],
  ERR_FETCH_NO_BUNDLE: [
    'precondition',
    'There is no bundle yet to verify the bundle endpoint with.',
  ],
  ERR_FETCH_REDIRECT: ['invalid', 'The bundle endpoint redirects to where it may not.'],
  ERR_FETCH_ANSWER: ['invalid', 'The bundle endpoint answered with something else.'],
  ERR_FETCH_TOO_LARGE: ['invalid', 'The answer of the bundle endpoint is too large.'],
  ERR_FETCH_ENDED: ['aborted', 'The relationship was changed or ended during the fetch.'],
  ERR_ENDPOINT_CERTIFICATE: [
    'precondition',
    'The certificate or key of the bundle endpoint cannot be used.',
  ],
  ERR_ACME_UNAVAILABLE: ['unavailable', 'The ACME authority does not answer.'],
  ERR_ACME_REFUSED: ['precondition', 'The ACME authority refuses what it was asked for.'],
  ERR_ACME_ANSWER: ['internal', 'The ACME authority answered with something that is not expected.'],
  ERR_ACME_CHALLENGE: ['precondition', 'The ACME authority could not validate the domain name.'],
  ERR_OWN_BUNDLE_REVOKED: ['precondition', 'The authority was revoked and does not come back.'],
  // servers
  ERR_SERVER_ID: ['precondition', 'The server ID is malformed or not that of the data directory.'],
  ERR_SERVER_ID_TAKEN: ['precondition', 'Another running server has the ID of this one.'],
  // nats
  ERR_NATS_SERVERS: ['invalid', 'The address of a nats-server is malformed or missing.'],
  ERR_NATS_PLAINTEXT: ['invalid', 'A nats-server on another host is to be spoken to without TLS.'],
  ERR_NATS_LOGIN: ['precondition', 'The file to log in to NATS with cannot be used.'],
  ERR_NATS_SERVER_ID: ['unauthenticated', 'The nats-server is not the one that was expected.'],
  ERR_NATS_IDENTITY: ['unavailable', 'There is no SVID for the nats-server.'],
  ERR_NATS_UNREACHABLE: ['unavailable', 'No nats-server answers.'],
  ERR_NATS_CLOSED: ['unavailable', 'The connection to NATS is closed.'],
  // broadcast
  ERR_BUNDLE_MESSAGE_FORMAT: ['invalid', 'A signed message about a bundle is malformed.'],
  ERR_BUNDLE_MESSAGE_SIZE: ['invalid', 'A signed message about a bundle is too large.'],
  ERR_BUNDLE_MESSAGE_HEADER: ['invalid', 'A header of a signed message is not the expected one.'],
  ERR_BUNDLE_MESSAGE_SIGNATURE: [
    'unauthenticated',
    'No signature of the message verifies with the bundle of its publisher.',
  ],
  ERR_BUNDLE_MESSAGE_PUBLISHER: ['unauthenticated', 'Another one than the publisher signed.'],
  ERR_BUNDLE_MESSAGE_TRUST_DOMAIN: ['invalid', 'The message is about another trust domain.'],
  ERR_BUNDLE_MESSAGE_TIME: ['invalid', 'The message has expired, or is of the future.'],
  ERR_BUNDLE_MESSAGE_REPLAY: [
    'precondition',
    'A later bundle of the trust domain is there already.',
  ],
  ERR_BUNDLE_MESSAGE_FORK: ['data-loss', 'Two bundles of a trust domain have one sequence number.'],
  ERR_BUNDLE_MESSAGE_JUMP: ['precondition', 'The sequence number rises by more than 2^32 at once.'],
  ERR_BUNDLE_MESSAGE_FLOOD: ['exhausted', 'More messages come on one subject than are read.'],
  // revocations
  ERR_REVOCATION: ['invalid', 'The revocation has no subject, or a text or instant out of bounds.'],
  ERR_REVOCATION_LIMIT: ['exhausted', 'There are as many revocations as there may be.'],
  ERR_REVOCATION_CONFLICT: [
    'aborted',
    'The revocation was changed by others meanwhile; try again.',
  ],
  ERR_REVOCATION_RECORD: ['data-loss', 'A stored revocation is damaged or of a newer release.'],
  ERR_CRL_RECORD: ['data-loss', 'A stored CRL is damaged or of a newer release.'],
  ERR_CRL_UNKNOWN: ['not-found', 'There is no CRL of this authority.'],
  ERR_REVOCATION_CLOSED: ['unavailable', 'The registry of revocations is closed.'],
  ERR_REVOCATION_SUBJECT: [
    'invalid',
    'What is to be revoked or suspended is malformed or missing.',
  ],
  ERR_REVOCATION_UNKNOWN: ['not-found', 'Nothing is known of what is to be revoked.'],
  ERR_SUSPENSION: ['invalid', 'The suspension has no subject, or a text out of bounds.'],
  ERR_SUSPENSION_LIMIT: ['exhausted', 'There are as many suspensions as there may be.'],
  ERR_SUSPENSION_CONFLICT: [
    'aborted',
    'The subject was suspended anew, or changed by others, meanwhile.',
  ],
  ERR_SUSPENSION_NOT_FOUND: ['not-found', 'The subject is not suspended.'],
  ERR_SUSPENSION_RECORD: ['data-loss', 'A stored suspension is damaged or of a newer release.'],
  // svid
  ERR_SVID_ISSUE: ['unavailable', 'The issuer of SVIDs did not answer, or not in full.'],
  ERR_SVID_REFUSED: ['internal', 'The issuer sent another SVID than was asked for.'],
  ERR_SVID_AUTHORITY: ['unavailable', 'An SVID waits for its authority to be in the bundle.'],
  ERR_SVID_SUSPENDED: ['permission', 'Nothing is issued to the subject: it is suspended.'],
  ERR_SVID_REVOKED: ['unavailable', 'The SVID was issued before the instant of a revocation.'],
  ERR_SVID_WORKLOAD_GONE: ['permission', 'The workload process is dead or was replaced.'],
  ERR_SVID_CLOSED: ['unavailable', 'The source of identities is closed.'],
  // sync
  ERR_SYNC_ENTRY: ['invalid', 'A server sent an entry that is malformed.'],
  ERR_SYNC_BUNDLE: ['invalid', 'A server sent a bundle that is malformed.'],
  ERR_SYNC_REVOCATION: ['invalid', 'A server sent a revocation that is malformed or unknown.'],
  ERR_SYNC_TERMS: ['invalid', 'A server sent terms of a trust domain that are malformed.'],
  ERR_SYNC_POLICIES: ['invalid', 'A server sent policies in a form that is malformed.'],
  ERR_SYNC_CRL: ['invalid', 'A server sent a CRL that is malformed.'],
  ERR_SYNC_REQUEST: [
    'invalid',
    'A message of an agent on its sync stream is malformed or not due.',
  ],
  ERR_SYNC_UPDATE: ['invalid', 'A message of a server on the sync stream is malformed or not due.'],
  ERR_SYNC_LIMIT: ['exhausted', 'A server sent more than an agent takes.'],
  ERR_SYNC_REFUSED: ['aborted', 'An agent did not accept a snapshot.'],
  ERR_SYNC_REPLACED: ['aborted', 'The agent opened another sync stream.'],
  ERR_SYNC_SILENT: ['aborted', 'The agent did not say that an update took effect.'],
  // facts
  ERR_FACTS_UPDATE: ['invalid', 'What an agent tells of its facts is malformed or not due.'],
  ERR_FACTS_READER: ['permission', 'The caller may not read the facts of the agent.'],
  ERR_FACTS_STREAMS: ['exhausted', 'The process has too many open streams of facts.'],
  ERR_FACTS_REPORT: ['invalid', 'What a reader of the facts reports is malformed or not due.'],
  // workload
  ERR_WORKLOAD_HEADER: ['invalid', 'The header "workload.spiffe.io: true" is missing.'],
  ERR_WORKLOAD_REQUEST: ['invalid', 'A Workload API request is no protobuf message.'],
  ERR_WORKLOAD_NO_IDENTITY: ['permission', 'No registration entry gives the caller an identity.'],
  ERR_WORKLOAD_TOKEN: ['invalid', 'The token is no JWT-SVID that is valid for the audience.'],
  ERR_WORKLOAD_GONE: ['unauthenticated', 'The process that asked has exited.'],
  ERR_WORKLOAD_STREAMS: ['exhausted', 'The process has too many open streams.'],
  ERR_WORKLOAD_UNIMPLEMENTED: ['unimplemented', 'This part of the Workload API is not served.'],
  // client
  ERR_ENDPOINT_ADDRESS: ['invalid', 'The Workload API address is malformed or missing.'],
  ERR_CLIENT_RESPONSE: ['invalid', 'The Workload API answered with something that is not valid.'],
  // check
  ERR_CHECK_REQUEST: ['invalid', 'What a proxy asks about a request is malformed.'],
  ERR_AUTHZ_THREAD: ['internal', 'The thread that answers checks has ended.'],
  ERR_XFCC: ['invalid', 'The header x-forwarded-client-cert is not of the form that Envoy writes.'],
  ERR_ASSERTION_KEYS: [
    'precondition',
    'The keys that sign assertions cannot be read, or others may have read them.',
  ],
  // authz
  ERR_POLICY: ['invalid', 'A policy is malformed or contradicts itself.'],
  ERR_POLICY_PATTERN: ['invalid', 'A pattern, method or IP range of a policy is malformed.'],
  ERR_POLICY_FORMAT: ['precondition', 'A policy file is written in another form than its own.'],
  ERR_POLICY_TOO_COMPLEX: [
    'exhausted',
    'Policies overlap in too many ways for a question about all requests to be answered.',
  ],
  ERR_RBAC_ENVOY: ['invalid', 'An Envoy is too old to run rules.'],
  ERR_POLICY_TEST: ['precondition', 'A test of a policy came out otherwise than it says.'],
  ERR_RBAC_LIMIT: ['exhausted', 'The rules of a service come to more than an Envoy is given.'],
  // policies: versions of the policies in the control plane
  ERR_POLICY_SET: ['invalid', 'The files, author or reason of a version are out of bounds.'],
  ERR_POLICY_CONFLICT: ['aborted', 'The policies are at another version than was expected.'],
  ERR_POLICY_VERSION: [
    'not-found',
    'The control plane does not keep this version of the policies.',
  ],
  ERR_POLICY_CHAIN: ['data-loss', 'The versions of the policies in the store do not fit together.'],
  ERR_POLICY_REFUSED: ['precondition', 'A host refused the version of the policies it was told.'],
  ERR_POLICY_WAIT: ['unavailable', 'The policies are not in force everywhere yet.'],
  ERR_POLICY_CLOSED: ['unavailable', 'The registry of policies is closed.'],
  // apply
  ERR_APPLY_DOCUMENT: ['invalid', 'Documents to apply have mistakes; nothing was changed.'],
  ERR_APPLY_REQUEST: ['invalid', 'The call to apply documents is not a valid one.'],
  ERR_APPLY_LIMIT: ['invalid', 'More documents are to be applied than may be at once.'],
  ERR_APPLY_REFUSED: ['precondition', 'The documents cannot be applied to the present state.'],
  ERR_APPLY_CHANGED: ['aborted', 'Others changed meanwhile what was to be changed; try again.'],
  ERR_APPLY_INCOMPLETE: ['unavailable', 'A part of the changes could not be made; apply again.'],
  ERR_IMPORT: ['invalid', 'What is to be imported is not what SPIRE prints.'],
  // ecds
  ERR_ECDS_NAME: ['invalid', 'No extension configuration is called this.'],
  // xds: extension configurations, and several types on one stream
  ERR_XDS_REQUEST: ['invalid', 'The discovery request is not a valid message.'],
  ERR_XDS_TYPE_URL: ['invalid', 'The discovery request is about another type than is served.'],
  ERR_XDS_LIMIT: ['exhausted', 'The discovery request asks for more than one stream may.'],
  ERR_XDS_NOT_FOUND: ['not-found', 'The caller may have nothing of what it asked for.'],
  ERR_XDS_CALLER_GONE: ['permission', 'The process that opened the stream is no longer attested.'],
  // sds
  ERR_SDS_REQUEST: ['invalid', 'The discovery request is not a valid message.'],
  ERR_SDS_TYPE_URL: ['invalid', 'SDS was asked for a resource type that is not a secret.'],
  ERR_SDS_NODE: [
    'invalid',
    'The metadata of the Envoy node asks for something that makes no sense.',
  ],
  ERR_SDS_LIMIT: ['exhausted', 'The discovery request asks for more than one stream may.'],
  ERR_SDS_NOT_FOUND: ['not-found', 'The caller may have none of the secrets it asked for.'],
  ERR_SDS_CALLER_GONE: [
    'permission',
    'The process that opened the SDS stream is no longer attested.',
  ],
  ERR_SDS_NAMES: ['invalid', 'The configured names of SDS resources clash.'],
  // wire: Unix sockets and the processes behind them
  ERR_SOCKET_PATH: ['precondition', 'The socket path cannot be used.'],
  ERR_SOCKET_PATH_TOO_LONG: ['invalid', 'The socket path has more than 107 bytes.'],
  ERR_SOCKET_IN_USE: ['precondition', 'Another process listens on the socket path.'],
  ERR_PEER_UNKNOWN: ['unauthenticated', 'The kernel does not say which process is calling.'],
  ERR_PEER_GONE: ['unauthenticated', 'The process that opened the connection has exited.'],
  ERR_PEER_SELF_TEST: ['precondition', 'Peer credentials cannot be relied on; nothing is served.'],
  ERR_HEALTH_SERVICE: ['not-found', 'The server has no service of this name.'],
  ERR_TOO_MANY_CALLS: ['exhausted', 'The server, or the user on it, has too many open calls.'],
  ERR_LISTEN: ['precondition', 'The address and port cannot be listened on.'],
  ERR_TLS_IDENTITY: ['internal', 'The own certificate and key are not ones TLS can present.'],
  ERR_TLS_HANDSHAKE: ['unavailable', 'The server and this client found no common TLS.'],
  ERR_TLS_SERVER_ID: ['unauthenticated', 'The server is another than the one that was expected.'],
  ERR_SHUTTING_DOWN: ['unavailable', 'The server is shutting down.'],
  // envoy
  ERR_ENVOY_CONFIG: ['invalid', 'The file holds no configuration of Envoy.'],
  ERR_ACCESS_LOG: [
    'invalid',
    'The text is no line of an access log of Envoy, or there are too many.',
  ],
  // client and cli
  ERR_USAGE: ['invalid', 'A required flag or argument is missing.'],
  ERR_UPSTREAM_UNREACHABLE: ['unavailable', 'No server above this one answers.'],
  ERR_UPSTREAM_IDENTITY: ['unavailable', 'There is no SVID to call servers above this one with.'],
  ERR_UNREACHABLE: ['unavailable', 'Nothing answers at the socket.'],
  ERR_UNHEALTHY: ['unavailable', 'A part of trustplane is not serving.'],
  ERR_REMOTE: ['internal', 'The server failed without saying more.'],
  ERR_REMOTE_INVALID: ['invalid', 'The server refused the request as malformed.'],
  ERR_REMOTE_NOT_FOUND: ['not-found', 'The server does not know it.'],
  ERR_REMOTE_EXISTS: ['already-exists', 'The server has it already.'],
  ERR_REMOTE_PERMISSION: ['permission', 'The server does not allow it.'],
  ERR_REMOTE_PRECONDITION: ['precondition', 'The server refuses it as things stand.'],
  ERR_REMOTE_BUSY: ['exhausted', 'The server has too much to do; try again later.'],
  ERR_REMOTE_UNIMPLEMENTED: ['unimplemented', 'The server does not offer it.'],
  // attest
  ERR_ATTEST_PROCESS_GONE: ['permission', 'The process has exited; nothing is served to it.'],
  ERR_ATTEST_PROCESS_CHANGED: [
    'permission',
    'The process has other credentials than when it connected.',
  ],
  ERR_ATTEST_PROC: ['internal', 'A file of /proc is not of the form it should have.'],
  ERR_ATTEST_EXECUTABLE: ['unavailable', 'The executable changed while it was read.'],
  ERR_ATTEST_TIMEOUT: ['unavailable', 'An attestor took too long.'],
  ERR_ATTEST_FAILED: ['unavailable', 'No attestor could tell anything about the process.'],
  ERR_ATTEST_UNREACHABLE: [
    'unavailable',
    'What an attestor asks (container engine, kubelet, systemd) cannot be asked or refuses.',
  ],
  ERR_ATTEST_ANSWER: [
    'unavailable',
    'What an attestor was answered is malformed or over its bounds.',
  ],
  ERR_ATTEST_CONTAINER: [
    'permission',
    'The cgroup of the process names a container or pod that it is not shown to be in.',
  ],
  ERR_ATTEST_BUSY: ['exhausted', 'Too many processes of one user wait for an attestor.'],
  // attest: nodes
  ERR_NODE_ATTEST_PAYLOAD: ['invalid', 'What a node sent to attest itself is malformed.'],
  ERR_NODE_ATTEST_CERTIFICATE: ['permission', 'The certificate of the node is of the wrong kind.'],
  ERR_NODE_ATTEST_RESPONSE: ['invalid', 'The answer of a node to a challenge is malformed.'],
  ERR_NODE_ATTEST_PROOF: ['permission', 'The node did not prove that the key is its own.'],
  ERR_NODE_ATTEST_PATH: ['permission', 'What is known of the node makes no ID for its agent.'],
  ERR_NODE_ATTEST_TEMPLATE: ['invalid', 'The template for IDs of agents is malformed.'],
  ERR_NODE_ATTEST_AUTHORITIES: ['invalid', 'The CA bundle for node attestation is unusable.'],
  ERR_NODE_ATTEST_CHALLENGE: ['invalid', 'The challenge of the server is not one for this node.'],
  ERR_NODE_ATTEST_IDENTITY: ['precondition', 'The certificate or key of this node is unusable.'],
  ERR_NODE_ATTEST_HOST: ['permission', 'The host that a node says it is may not be asked.'],
  ERR_NODE_ATTEST_PORT: ['permission', 'The port that a node says it answers at is not allowed.'],
  ERR_NODE_ATTEST_NO_ANSWER: ['unavailable', 'The host that a node says it is does not answer.'],
  ERR_NODE_ATTEST_CLUSTER: ['permission', 'A node is of a cluster that is not configured.'],
  ERR_NODE_ATTEST_SERVICE_ACCOUNT: ['permission', 'Agents of this service account may not join.'],
  ERR_NODE_ATTEST_REVIEW: ['permission', 'The cluster does not vouch for the token of a node.'],
  ERR_NODE_ATTEST_POD: ['permission', 'The pod that a token is bound to is another now, or gone.'],
  ERR_NODE_ATTEST_API: ['unavailable', 'The API server of a cluster does not answer as it should.'],
  ERR_NODE_ATTEST_KUBECONFIG: ['precondition', 'How to reach an API server is not told.'],
  // attest: nodes, by signed documents and tokens of a cloud
  ERR_NODE_ATTEST_DOCUMENT: ['invalid', 'The signed document about a node is malformed.'],
  ERR_NODE_ATTEST_SIGNATURE: ['permission', 'What a node shows is not signed as it has to be.'],
  ERR_NODE_ATTEST_TOKEN: ['invalid', 'The token of a node is malformed.'],
  ERR_NODE_ATTEST_ALGORITHM: ['permission', 'The token of a node is signed in another way.'],
  ERR_NODE_ATTEST_HEADER: ['permission', 'The token of a node says itself how to verify it.'],
  ERR_NODE_ATTEST_KEY: ['permission', 'The token of a node names a key that its issuer lacks.'],
  ERR_NODE_ATTEST_KEYS: ['unavailable', 'The keys that verify tokens of nodes cannot be had.'],
  ERR_NODE_ATTEST_ISSUER: ['permission', 'The token of a node is by another issuer.'],
  ERR_NODE_ATTEST_AUDIENCE: ['permission', 'The token of a node is meant for others.'],
  ERR_NODE_ATTEST_TIME: ['permission', 'What a node shows is expired, too old or of the future.'],
  ERR_NODE_ATTEST_CLAIMS: ['permission', 'The token of a node lacks a claim, or is of no machine.'],
  ERR_NODE_ATTEST_ACCOUNT: ['permission', 'Nodes of this account, project or tenant may not join.'],
  ERR_NODE_ATTEST_REGION: ['permission', 'Nodes of this region may not join.'],
  ERR_NODE_ATTEST_INSTANCE: ['permission', 'The machine is not there, or not as it was launched.'],
  ERR_NODE_ATTEST_CLOUD: ['unavailable', 'A service of the cloud does not answer as it should.'],
  // node: what an agent keeps
  ERR_CACHE_KEY_FILE: [
    'precondition',
    "The key of the agent's cache is missing, open or misplaced.",
  ],
  ERR_CACHE_KEY: ['data-loss', "The agent's cache is sealed with another key."],
  ERR_CACHE_VALUE: ['data-loss', "A value of the agent's cache is damaged."],
  // api
  ERR_API_REQUEST: ['invalid', 'A field of the request is malformed or out of bounds.'],
  ERR_API_UNIMPLEMENTED: ['unimplemented', 'This part of the server API is not served.'],
  ERR_API_ADMIN: ['permission', 'The caller is not an administrator of this process.'],
  ERR_API_CALLER: ['permission', 'The caller is not one of those who may call this method.'],
  ERR_API_STREAM_ENDED: ['invalid', 'The caller ended its stream before all was said.'],
  ERR_API_ATTEST_STEP: ['invalid', 'A message of the attestation is not the one that is due.'],
  ERR_API_ATTEST_TYPE: [
    'invalid',
    'There is no attestor for nodes of the type that was asked for.',
  ],
  ERR_API_ATTEST_TIME: ['aborted', 'The attestation of a node took too long.'],
  ERR_API_CSR_ID: ['invalid', 'The request names another identity than the one of the agent.'],
  ERR_EXPLAIN_BUSY: ['exhausted', 'Too many ask for explanations at once.'],
  ERR_API_RATE_LIMIT: ['exhausted', 'More calls come from one address than are allowed.'],
  ERR_SVID_ENTRY: ['permission', 'The agent is not authorized for the entry.'],
  ERR_SVID_CSR_ID: ['permission', 'The request names another identity than the entry.'],
  ERR_DOWNSTREAM_LIMIT: ['exhausted', 'Servers below this one published too many keys.'],
  ERR_SVID_BATCH: ['exhausted', 'There are more requests than one call may have.'],
  // node
  ERR_NODE_UNREACHABLE: ['unavailable', 'A server does not answer this agent.'],
  ERR_NODE_SERVER: ['unauthenticated', 'A server does not prove to be one of the trust domain.'],
  ERR_NODE_ANSWER: ['internal', 'A server answered an agent with something that is not valid.'],
  ERR_NODE_BOOTSTRAP: ['precondition', 'The bundle to trust the first server by cannot be had.'],
  ERR_NODE_ATTESTATION: ['precondition', 'The agent has nothing to prove itself with.'],
  ERR_NODE_SVID: ['internal', 'A server gave an agent an SVID that is not its own, or not valid.'],
  ERR_NODE_NO_IDENTITY: ['unavailable', 'The agent has no valid SVID of its own now.'],
  // anywhere: a state the code holds to be impossible
  ERR_INTERNAL: ['internal', 'A defect in trustplane; please report it.'],
} as const;

export type ErrorCode = keyof typeof errorCodes;

/** An error with a stable code; the message says what was expected, what came and where. */
export class TrustplaneError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }

  get category(): ErrorCategory {
    const [category]: readonly [ErrorCategory, string] = errorCodes[this.code];
    return category;
  }
}

/** The text of any thrown value, for messages that wrap it. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
