import { type LintRule, rule } from './lint-rule.ts';

/** What is found of connections: who may make them, to whom, and what comes over them. */
export const connectionRules = {
  // Who connects
  'client-certificate-not-required': rule(
    'error',
    'a caller without a certificate is let in, for Envoy only verifies one that is shown',
    'set require_client_certificate: true',
  ),
  'client-certificate-not-verified': rule(
    'error',
    'any certificate is taken, also none at all: require_client_certificate does nothing where nothing says what to trust',
    'add a validation context, best over SDS (ROOTCA or ALL)',
  ),
  'untrusted-certificate-accepted': rule(
    'error',
    'a certificate that no authority signed is taken',
    'remove trust_chain_verification, or set VERIFY_TRUST_CHAIN',
  ),
  'expired-certificate-accepted': rule(
    'error',
    'who was given an identity once keeps it for good',
    'set allow_expired_certificate: false',
  ),
  'identity-not-verified': rule(
    'error',
    'whatever the authority signed gets in, of any SPIFFE ID or none: the context names authorities alone',
    'list SPIFFE IDs in match_typed_subject_alt_names, or take the context over SDS',
  ),
  'any-workload-admitted': rule(
    'warning',
    'every workload of the trust domains may call: nothing names who may, and no filter asks',
    'list SPIFFE IDs in match_typed_subject_alt_names of default_validation_context, or add RBAC or ext_authz',
  ),
  'san-list-joined': rule(
    'warning',
    'match_subject_alt_names is joined with the list of the secret, and matches DNS names and addresses too, so it lets in more than it names',
    'write the list as match_typed_subject_alt_names with san_type: URI',
  ),
  'san-match-open': rule(
    'error',
    'a SPIFFE ID of another trust domain or workload matches, for the pattern is open where an ID goes on',
    'match exactly, or by a prefix that ends in a slash',
  ),
  'session-tickets': rule(
    'warning',
    'a resumed session is not verified again: a caller goes on after its authority was removed',
    'set disable_stateless_session_resumption: true, and remove session_ticket_keys',
  ),
  'session-cache': rule(
    'warning',
    'a resumed session is not verified again: a caller goes on after its authority was removed',
    'set disable_stateful_session_resumption: true',
  ),
  'tls-version-low': rule(
    'error',
    'TLS before 1.2 is spoken, which protects neither keys nor what is said',
    'set tls_minimum_protocol_version: TLSv1_2',
  ),
  'private-key-inline': rule(
    'warning',
    'whoever reads the file, a backup of it or the repository has the private key',
    'take the certificate over SDS',
  ),
  'plaintext-beside-mtls': rule(
    'error',
    'callers without identity reach over this way what the other one protects with mTLS',
    'give it the same transport socket, listen on loopback, or remove it',
  ),
  'connection-age-unbounded': rule(
    'warning',
    'a connection goes on after its certificate expired or was revoked, for certificates are verified when it begins',
    'set max_connection_duration (TCP: max_downstream_connection_duration) to the lifetime of the SVIDs',
  ),
  // Who is called
  'upstream-not-verified': rule(
    'error',
    'whoever answers at the address is taken for the server: nothing says what to trust',
    'add a validation context, best over SDS (ROOTCA or ALL)',
  ),
  'upstream-name-not-verified': rule(
    'error',
    'any certificate of the authorities passes for that of the server',
    'list the server in match_typed_subject_alt_names, or set auto_sni_san_validation: true',
  ),
  'upstream-any-workload': rule(
    'warning',
    'every workload of the trust domains can pose as the server',
    'list the SPIFFE ID of the server in match_typed_subject_alt_names of default_validation_context',
  ),
  'upstream-session-cache': rule(
    'warning',
    'a resumed session is not verified again: a server goes on after its authority was removed',
    'set max_session_keys: 0',
  ),
  'upstream-connection-age-unbounded': rule(
    'info',
    'connections end when the server ends them, and requests may fail then',
    'set max_connection_duration in HttpProtocolOptions to half the lifetime of the SVIDs',
  ),
  // Secrets and configuration over the wire
  'api-version-missing': rule(
    'error',
    'Envoy asks in a version of xDS that is no longer spoken, and refuses the configuration',
    'set it to V3',
  ),
  'sds-configs-differ': rule(
    'error',
    'Envoy takes each for a source of its own, and loses a secret whose source changes while it runs',
    'write one sds_config for all secrets of the agent, byte for byte (a YAML anchor)',
  ),
  'cluster-secret-over-ads': rule(
    'error',
    'Envoy crashes at its start (envoyproxy/envoy#15517): clusters of the bootstrap ask for their secrets before there is an ADS stream',
    'write api_config_source in the sds_config of these clusters; listeners may stay with ads',
  ),
  'sds-fetch-timeout': rule(
    'warning',
    'when no secret has come in that time (by default 15 s) the listener opens without a certificate and resets every connection',
    'set initial_fetch_timeout: 0s',
  ),
  'slow-back-off': rule(
    'warning',
    'after the agent was away Envoy may take up to 30 s to come back, and has old secrets and rules meanwhile',
    'set retry_policy: { retry_back_off: { base_interval: 0.1s, max_interval: 1s } } in envoy_grpc',
  ),
  'agent-in-clear': rule(
    'error',
    'private keys or decisions cross in the clear from whoever answers at the address',
    "use the agent's Unix socket (pipe), or TLS with a SPIFFE ID to match",
  ),
  'agent-hang-unnoticed': rule(
    'info',
    'an agent that hangs is not noticed: nothing comes, and Envoy does not connect again',
    'set connection_keepalive: { interval: 30s, timeout: 10s } in http2_protocol_options',
  ),
  'extension-without-default': rule(
    'error',
    'until the filter has come, and when it is taken away, Envoy answers 500 or opens no listener',
    'add a default_config that denies, with apply_default_config_without_warming: true',
  ),
  'extension-default-allows': rule(
    'error',
    'everybody is let in until the rules have come, and when they are taken away',
    'let default_config deny: an RBAC with rules: {}',
  ),
  'path-attribute-missing': rule(
    'error',
    'the rules read an attribute that no filter before them writes, so they match other requests than they say',
    'put set_filter_state before it, with %PATH(NQ:PATH)% for tp.path',
  ),
  'admin-exposed': rule(
    'error',
    'whoever reaches the address can stop Envoy, and read certificates and configuration',
    'listen on 127.0.0.1 or a Unix socket',
  ),
} as const satisfies Readonly<Record<string, LintRule>>;
