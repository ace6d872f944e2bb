export type LintSeverity = 'error' | 'warning' | 'info';

export interface LintRule {
  readonly severity: LintSeverity;
  /** What can happen; one sentence, without its full stop. */
  readonly danger: string;
  readonly fix: string;
}

const rule = (severity: LintSeverity, danger: string, fix: string): LintRule => ({
  severity,
  danger,
  fix,
});

/** What is found in configurations of Envoy, by its code. Codes keep their meaning from release to release. */
export const lintRules = {
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
  // What a request says
  'path-not-normalized': rule(
    'error',
    'dot segments and escapes pass rules on paths (/x/../admin, /%61dmin), and the application resolves them',
    'set normalize_path: true',
  ),
  'slashes-not-merged': rule(
    'error',
    'a doubled slash passes rules on paths (//admin), and many applications drop it',
    'set merge_slashes: true',
  ),
  'escaped-slashes-kept': rule(
    'error',
    'an escaped slash passes rules on paths (/x/..%2fadmin), and many applications decode it',
    'set path_with_escaped_slashes_action: REJECT_REQUEST',
  ),
  'host-port-kept': rule(
    'warning',
    'a port after the host (example.com:8080) passes rules and virtual hosts that name the host',
    'set strip_any_host_port: true',
  ),
  'host-dot-kept': rule(
    'warning',
    'a dot after the host (example.com.) passes rules and virtual hosts that name the host',
    'set strip_trailing_host_dot: true',
  ),
  'underscores-allowed': rule(
    'warning',
    'a caller writes x_user beside x-user, which CGI and WSGI applications take for the same header',
    'set headers_with_underscores_action: REJECT_REQUEST',
  ),
  'original-path-believed': rule(
    'error',
    'rules see the path that the caller wrote into x-envoy-original-path, and the application gets another',
    'write %PATH(NQ:PATH)%',
  ),
  'forwarded-certificate-always': rule(
    'error',
    'anyone writes x-forwarded-client-cert, also without a certificate, and the application believes it',
    'set forward_client_cert_details: SANITIZE_SET, or SANITIZE where nobody reads the header',
  ),
  'forwarded-certificate-believed': rule(
    'warning',
    'the application is told of an identity that the caller wrote into x-forwarded-client-cert itself',
    'set forward_client_cert_details: SANITIZE_SET, or SANITIZE where nobody reads the header',
  ),
  'forwarded-certificate-empty': rule(
    'info',
    'x-forwarded-client-cert says nothing of who calls: no certificate is asked for, or its URI is left out',
    'set SANITIZE, or add set_current_client_cert_details: { uri: true }',
  ),
  'client-address-forgeable': rule(
    'error',
    'the address that rules see is what the caller wrote into x-forwarded-for',
    'match direct_remote_ip, or set use_remote_address: true without xff_num_trusted_hops',
  ),
  'forwarded-hops-trusted': rule(
    'warning',
    'who reaches this listener past the proxies chooses its address in x-forwarded-for',
    'remove xff_num_trusted_hops, unless nobody but those proxies can connect',
  ),
  // Asking for a decision
  'failure-mode-allow': rule(
    'error',
    'every request is let in while the authorization server is away, slow or overloaded',
    'set failure_mode_allow: false',
  ),
  'failure-mode-header': rule(
    'warning',
    'the application cannot trust x-envoy-auth-failure-mode-allowed, for a copy that the caller sent is kept too',
    'set failure_mode_allow_header_add: false',
  ),
  'error-looks-like-success': rule(
    'error',
    'who is refused for want of an answer is told that all went well, and caches and clients believe it',
    'set status_on_error: { code: ServiceUnavailable }',
  ),
  'route-cleared': rule(
    'warning',
    'the route is chosen again after the decision, so that a header can lead to another one than was asked about',
    'set clear_route_cache: false',
  ),
  'peer-certificate-not-sent': rule(
    'warning',
    'the decision rests on the principal that Envoy took from the certificate, which with several names is the first of them',
    'set include_peer_certificate: true',
  ),
  'headers-joined': rule(
    'warning',
    'several lines of a header are asked about as one text, and a value with a comma passes for two',
    'set encode_raw_headers: true',
  ),
  'authz-timeout-long': rule(
    'warning',
    'an authorization server that hangs holds every request that long, and with them memory and connections',
    'set timeout: 0.2s in grpc_service',
  ),
  'authz-timeout-default': rule(
    'info',
    'how long a decision may take is left to the release of Envoy (0.2 s today)',
    'set timeout: 0.2s in grpc_service',
  ),
  'body-cut': rule(
    'warning',
    'the decision sees the beginning of a body alone, and what is refused may stand after it',
    'set allow_partial_message: false',
  ),
  'authz-for-some': rule(
    'error',
    'a share of the requests is let in without being asked about',
    'remove filter_enabled, or set its default_value to 100 %',
  ),
  'authz-disabled': rule(
    'warning',
    'requests on this way are let in without a decision, whatever else routes there',
    'remove it, and allow in a policy what anyone may ask for',
  ),
  'connected-before-authz': rule(
    'warning',
    'the application is connected before the decision, which comes with the first bytes: what it says first reaches callers who are then denied, and who stays silent is never decided about',
    'set upstream_connect_mode: ON_DOWNSTREAM_DATA and max_early_data_bytes where clients speak first; else list the callers in match_typed_subject_alt_names, without a filter',
  ),
  'authz-skipped-by-metadata': rule(
    'error',
    'the decision is skipped by other metadata than the word of the rules that run in this Envoy, or where there is none',
    'skip it by tp_alone_shadow_engine_result of envoy.filters.http.rbac, exactly allowed, with invert: true, or remove filter_enabled_metadata',
  ),
  'deciding-metadata-written': rule(
    'error',
    'a filter writes where rules, tokens and decisions are told, and what it writes may be what the caller sent',
    'give it a metadata_namespace of its own',
  ),
  'authz-too-late': rule(
    'error',
    'the filter before it may answer by itself, or change who asks for what, before anything was decided',
    'put RBAC and ext_authz before it',
  ),
  'changed-after-authz': rule(
    'warning',
    'the filter may rewrite the request after the decision, so that another one is forwarded than was allowed',
    'put it before RBAC and ext_authz',
  ),
  // Rules in Envoy
  'rbac-allows-all': rule(
    'error',
    'every request is let in: an RBAC without rules and matcher, or with denies that name nothing, allows all',
    'give it a matcher or rules, or remove it; rules: {} denies all',
  ),
  'rbac-logs-only': rule(
    'error',
    'nothing is ever refused: the action LOG lets everything in, and no other filter decides',
    'set action: ALLOW (or DENY)',
  ),
  'rbac-allows-anyone': rule(
    'warning',
    'the policy allows every request of everybody, with or without a certificate',
    'name permissions and principals',
  ),
  'rbac-allows-the-rest': rule(
    'error',
    'what no rule matches is let in, and no filter decides after it',
    'let on_no_match deny, or put ext_authz after it',
  ),
  'rbac-any-authenticated': rule(
    'error',
    'every caller over TLS is allowed, also one without a certificate: no name is asked for',
    'set principal_name: { exact: spiffe://... }',
  ),
  'rbac-not-a-spiffe-id': rule(
    'warning',
    'a DNS name or subject is matched, which authorities of workloads do not vouch for',
    'match the SPIFFE ID (principal_name: { exact: spiffe://... })',
  ),
  'rbac-principal-open': rule(
    'error',
    'a SPIFFE ID of another trust domain or workload matches, for the pattern is open where an ID goes on',
    'match exactly, or by a prefix that ends in a slash',
  ),
  'rbac-only-not': rule(
    'error',
    'who has no identity at all is allowed, for whoever is not named is',
    'name in the same policy who may; deny others in a policy of action DENY',
  ),
  'rbac-path-with-query': rule(
    'error',
    'the header :path has the query in it: /secret?x is not /secret, and /x?/public ends in /public',
    'match url_path, or in a matcher filter state set to %PATH(NQ:PATH)%',
  ),
  'rbac-path-open': rule(
    'warning',
    'a neighbor matches too, for the prefix does not end in a slash (/profiles and /profiles-admin)',
    'end the prefix in a slash, beside an exact match of the path without it',
  ),
  'rbac-address-of-proxy': rule(
    'error',
    'the address that rules see is that of the load balancer: PROXY says another, which these inputs do not look at',
    'read filter state that a filter of connections sets to %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%, or match remote_ip with use_remote_address: true',
  ),
  'source-attribute-missing': rule(
    'warning',
    'rules that ask where a connection comes from match nobody, and denies of that kind deny everybody',
    'put a network set_filter_state before the connection manager that sets tp.source to %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% in on_new_connection',
  ),
  'rules-of-another-policy': rule(
    'error',
    'the decision is skipped by what another policy allows than the one that Check judges the route by',
    'name the same policy in trustplane.policy of every route and behind ?policy= in the name of the rules',
  ),
  'rules-of-another-service': rule(
    'error',
    'the rules are those of another service than the certificate names, and Check judges by the certificate',
    'name the same SPIFFE ID in the rules and in the certificate',
  ),
  // Tokens
  'jwt-issuer-missing': rule(
    'error',
    'a token of any issuer is taken whose key is in the set',
    'set issuer',
  ),
  'jwt-audiences-missing': rule(
    'error',
    'a token that was made out for another service is taken',
    'set audiences',
  ),
  'jwt-header-forgeable': rule(
    'error',
    'on ways where no rule asks for a token the header with claims is what the caller sent',
    'add a rule with a requirement for the prefix / at the end, or read claims from metadata',
  ),
  'jwt-failure-allowed': rule(
    'warning',
    'a token that is forged or expired is let in like none',
    'use allow_missing',
  ),
  'jwks-in-clear': rule(
    'error',
    'who is on the way to the key set puts keys of its own into it, and signs any token',
    'fetch it over https, and verify the server',
  ),
  // Around it
  'admin-exposed': rule(
    'error',
    'whoever reaches the address can stop Envoy, and read certificates and configuration',
    'listen on 127.0.0.1 or a Unix socket',
  ),
} as const satisfies Readonly<Record<string, LintRule>>;

export type LintCode = keyof typeof lintRules;
