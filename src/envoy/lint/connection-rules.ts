/** What is found of connections: who may make them, to whom, and what comes over them. */
export const connectionRules = {
  // Who connects
  'client-certificate-not-required': {
    severity: 'error',
    danger: 'a caller without a certificate is let in, for Envoy only verifies one that is shown',
    fix: 'set require_client_certificate: true',
  },
  'client-certificate-not-verified': {
    severity: 'error',
    danger:
      'any certificate is taken, also none at all: require_client_certificate does nothing where nothing says what to trust',
    fix: 'add a validation context, best over SDS (ROOTCA or ALL)',
  },
  'untrusted-certificate-accepted': {
    severity: 'error',
    danger: 'a certificate that no authority signed is taken',
    fix: 'remove trust_chain_verification, or set VERIFY_TRUST_CHAIN',
  },
  'expired-certificate-accepted': {
    severity: 'error',
    danger: 'who was given an identity once keeps it for good',
    fix: 'set allow_expired_certificate: false',
  },
  'identity-not-verified': {
    severity: 'error',
    danger:
      'whatever the authority signed gets in, of any SPIFFE ID or none: the context names authorities alone',
    fix: 'list SPIFFE IDs in match_typed_subject_alt_names, or take the context over SDS',
  },
  'any-workload-admitted': {
    severity: 'warning',
    danger:
      'every workload of the trust domains may call: nothing names who may, and no filter asks',
    fix: 'list SPIFFE IDs in match_typed_subject_alt_names of default_validation_context, or add RBAC or ext_authz',
  },
  'san-list-joined': {
    severity: 'warning',
    danger:
      'match_subject_alt_names is joined with the list of the secret, and matches DNS names and addresses too, so it lets in more than it names',
    fix: 'write the list as match_typed_subject_alt_names with san_type: URI',
  },
  'san-match-open': {
    severity: 'error',
    danger:
      'a SPIFFE ID of another trust domain or workload matches, for the pattern is open where an ID goes on',
    fix: 'match exactly, or by a prefix that ends in a slash',
  },
  'session-tickets': {
    severity: 'warning',
    danger:
      'a resumed session is not verified again: a caller goes on after its authority was removed',
    fix: 'set disable_stateless_session_resumption: true, and remove session_ticket_keys',
  },
  'session-cache': {
    severity: 'warning',
    danger:
      'a resumed session is not verified again: a caller goes on after its authority was removed',
    fix: 'set disable_stateful_session_resumption: true',
  },
  'tls-version-low': {
    severity: 'error',
    danger: 'TLS before 1.2 is spoken, which protects neither keys nor what is said',
    fix: 'set tls_minimum_protocol_version: TLSv1_2',
  },
  'private-key-inline': {
    severity: 'warning',
    danger: 'whoever reads the file, a backup of it or the repository has the private key',
    fix: 'take the certificate over SDS',
  },
  'plaintext-beside-mtls': {
    severity: 'error',
    danger: 'callers without identity reach over this way what the other one protects with mTLS',
    fix: 'give it the same transport socket, listen on loopback, or remove it',
  },
  'connection-age-unbounded': {
    severity: 'warning',
    danger:
      'a connection goes on after its certificate expired or was revoked, for certificates are verified when it begins',
    fix: 'set max_connection_duration (TCP: max_downstream_connection_duration) to the lifetime of the SVIDs',
  },
  // Who is called
  'upstream-not-verified': {
    severity: 'error',
    danger: 'whoever answers at the address is taken for the server: nothing says what to trust',
    fix: 'add a validation context, best over SDS (ROOTCA or ALL)',
  },
  'upstream-name-not-verified': {
    severity: 'error',
    danger: 'any certificate of the authorities passes for that of the server',
    fix: 'list the server in match_typed_subject_alt_names, or set auto_sni_san_validation: true',
  },
  'upstream-any-workload': {
    severity: 'warning',
    danger: 'every workload of the trust domains can pose as the server',
    fix: 'list the SPIFFE ID of the server in match_typed_subject_alt_names of default_validation_context',
  },
  'upstream-session-cache': {
    severity: 'warning',
    danger:
      'a resumed session is not verified again: a server goes on after its authority was removed',
    fix: 'set max_session_keys: 0',
  },
  'upstream-connection-age-unbounded': {
    severity: 'info',
    danger: 'connections end when the server ends them, and requests may fail then',
    fix: 'set max_connection_duration in HttpProtocolOptions to half the lifetime of the SVIDs',
  },
  // Secrets and configuration over the wire
  'api-version-missing': {
    severity: 'error',
    danger:
      'Envoy asks in a version of xDS that is no longer spoken, and refuses the configuration',
    fix: 'set it to V3',
  },
  'sds-configs-differ': {
    severity: 'error',
    danger:
      'Envoy takes each for a source of its own, and loses a secret whose source changes while it runs',
    fix: 'write one sds_config for all secrets of the agent, byte for byte (a YAML anchor)',
  },
  'cluster-secret-over-ads': {
    severity: 'error',
    danger:
      'Envoy crashes at its start (envoyproxy/envoy#15517): clusters of the bootstrap ask for their secrets before there is an ADS stream',
    fix: 'write api_config_source in the sds_config of these clusters; listeners may stay with ads',
  },
  'sds-fetch-timeout': {
    severity: 'warning',
    danger:
      'when no secret has come in that time (by default 15 s) the listener opens without a certificate and resets every connection',
    fix: 'set initial_fetch_timeout: 0s',
  },
  'slow-back-off': {
    severity: 'warning',
    danger:
      'after the agent was away Envoy may take up to 30 s to come back, and has old secrets and rules meanwhile',
    fix: 'set retry_policy: { retry_back_off: { base_interval: 0.1s, max_interval: 1s } } in envoy_grpc',
  },
  'agent-in-clear': {
    severity: 'error',
    danger: 'private keys or decisions cross in the clear from whoever answers at the address',
    fix: "use the agent's Unix socket (pipe), or TLS with a SPIFFE ID to match",
  },
  'agent-hang-unnoticed': {
    severity: 'info',
    danger: 'an agent that hangs is not noticed: nothing comes, and Envoy does not connect again',
    fix: 'set connection_keepalive: { interval: 30s, timeout: 10s } in http2_protocol_options',
  },
  'extension-without-default': {
    severity: 'error',
    danger:
      'until the filter has come, and when it is taken away, Envoy answers 500 or opens no listener',
    fix: 'add a default_config that denies, with apply_default_config_without_warming: true',
  },
  'extension-default-allows': {
    severity: 'error',
    danger: 'everybody is let in until the rules have come, and when they are taken away',
    fix: 'let default_config deny: an RBAC with rules: {}',
  },
  'path-attribute-missing': {
    severity: 'error',
    danger:
      'the rules read an attribute that no filter before them writes, so they match other requests than they say',
    fix: 'put set_filter_state before it, with %PATH(NQ:PATH)% for tp.path',
  },
  'admin-exposed': {
    severity: 'error',
    danger: 'whoever reaches the address can stop Envoy, and read certificates and configuration',
    fix: 'listen on 127.0.0.1 or a Unix socket',
  },
} as const;
