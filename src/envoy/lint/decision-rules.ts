/** What is found of decisions, asked for and in Envoy. */
export const decisionRules = {
  // Asking for a decision
  'failure-mode-allow': {
    severity: 'error',
    danger: 'every request is let in while the authorization server is away, slow or overloaded',
    fix: 'set failure_mode_allow: false',
  },
  'failure-mode-header': {
    severity: 'warning',
    danger:
      'the application cannot trust x-envoy-auth-failure-mode-allowed, for a copy that the caller sent is kept too',
    fix: 'set failure_mode_allow_header_add: false',
  },
  'error-looks-like-success': {
    severity: 'error',
    danger:
      'who is refused for want of an answer is told that all went well, and caches and clients believe it',
    fix: 'set status_on_error: { code: ServiceUnavailable }',
  },
  'route-cleared': {
    severity: 'warning',
    danger:
      'the route is chosen again after the decision, so that a header can lead to another one than was asked about',
    fix: 'set clear_route_cache: false',
  },
  'peer-certificate-not-sent': {
    severity: 'warning',
    danger:
      'the decision rests on the principal that Envoy took from the certificate, which with several names is the first of them',
    fix: 'set include_peer_certificate: true',
  },
  'headers-joined': {
    severity: 'warning',
    danger:
      'several lines of a header are asked about as one text, and a value with a comma passes for two',
    fix: 'set encode_raw_headers: true',
  },
  'authz-timeout-long': {
    severity: 'warning',
    danger:
      'an authorization server that hangs holds every request that long, and with them memory and connections',
    fix: 'set timeout: 0.2s in grpc_service',
  },
  'authz-timeout-default': {
    severity: 'info',
    danger: 'how long a decision may take is left to the release of Envoy (0.2 s today)',
    fix: 'set timeout: 0.2s in grpc_service',
  },
  'body-cut': {
    severity: 'warning',
    danger:
      'the decision sees the beginning of a body alone, and what is refused may stand after it',
    fix: 'set allow_partial_message: false',
  },
  'authz-for-some': {
    severity: 'error',
    danger: 'a share of the requests is let in without being asked about',
    fix: 'remove filter_enabled, or set its default_value to 100 %',
  },
  'authz-disabled': {
    severity: 'warning',
    danger: 'requests on this way are let in without a decision, whatever else routes there',
    fix: 'remove it, and allow in a policy what anyone may ask for',
  },
  'connected-before-authz': {
    severity: 'warning',
    danger:
      'the application is connected before the decision, which comes with the first bytes: what it says first reaches callers who are then denied, and who stays silent is never decided about',
    fix: 'set upstream_connect_mode: ON_DOWNSTREAM_DATA and max_early_data_bytes where clients speak first; else list the callers in match_typed_subject_alt_names, without a filter',
  },
  'authz-skipped-by-metadata': {
    severity: 'error',
    danger:
      'the decision is skipped by other metadata than the word of the rules that run in this Envoy, or where there is none',
    fix: 'skip it by tp_alone_shadow_engine_result of envoy.filters.http.rbac, exactly allowed, with invert: true, or remove filter_enabled_metadata',
  },
  'deciding-metadata-written': {
    severity: 'error',
    danger:
      'a filter writes where rules, tokens and decisions are told, and what it writes may be what the caller sent',
    fix: 'give it a metadata_namespace of its own',
  },
  'authz-too-late': {
    severity: 'error',
    danger:
      'the filter before it may answer by itself, or change who asks for what, before anything was decided',
    fix: 'put RBAC and ext_authz before it',
  },
  'changed-after-authz': {
    severity: 'warning',
    danger:
      'the filter may rewrite the request after the decision, so that another one is forwarded than was allowed',
    fix: 'put it before RBAC and ext_authz',
  },
  // Rules in Envoy
  'rbac-allows-all': {
    severity: 'error',
    danger:
      'every request is let in: an RBAC without rules and matcher, or with denies that name nothing, allows all',
    fix: 'give it a matcher or rules, or remove it; rules: {} denies all',
  },
  'rbac-logs-only': {
    severity: 'error',
    danger:
      'nothing is ever refused: the action LOG lets everything in, and no other filter decides',
    fix: 'set action: ALLOW (or DENY)',
  },
  'rbac-allows-anyone': {
    severity: 'warning',
    danger: 'the policy allows every request of everybody, with or without a certificate',
    fix: 'name permissions and principals',
  },
  'rbac-allows-the-rest': {
    severity: 'error',
    danger: 'what no rule matches is let in, and no filter decides after it',
    fix: 'let on_no_match deny, or put ext_authz after it',
  },
  'rbac-any-authenticated': {
    severity: 'error',
    danger:
      'every caller over TLS is allowed, also one without a certificate: no name is asked for',
    fix: 'set principal_name: { exact: spiffe://... }',
  },
  'rbac-not-a-spiffe-id': {
    severity: 'warning',
    danger: 'a DNS name or subject is matched, which authorities of workloads do not vouch for',
    fix: 'match the SPIFFE ID (principal_name: { exact: spiffe://... })',
  },
  'rbac-principal-open': {
    severity: 'error',
    danger:
      'a SPIFFE ID of another trust domain or workload matches, for the pattern is open where an ID goes on',
    fix: 'match exactly, or by a prefix that ends in a slash',
  },
  'rbac-only-not': {
    severity: 'error',
    danger: 'who has no identity at all is allowed, for whoever is not named is',
    fix: 'name in the same policy who may; deny others in a policy of action DENY',
  },
  'rbac-path-with-query': {
    severity: 'error',
    danger:
      'the header :path has the query in it: /secret?x is not /secret, and /x?/public ends in /public',
    fix: 'match url_path, or in a matcher filter state set to %PATH(NQ:PATH)%',
  },
  'rbac-path-open': {
    severity: 'warning',
    danger:
      'a neighbor matches too, for the prefix does not end in a slash (/profiles and /profiles-admin)',
    fix: 'end the prefix in a slash, beside an exact match of the path without it',
  },
  'rbac-address-of-proxy': {
    severity: 'error',
    danger:
      'the address that rules see is that of the load balancer: PROXY says another, which these inputs do not look at',
    fix: 'read filter state that a filter of connections sets to %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%, or match remote_ip with use_remote_address: true',
  },
  'source-attribute-missing': {
    severity: 'warning',
    danger:
      'rules that ask where a connection comes from match nobody, and denies of that kind deny everybody',
    fix: 'put a network set_filter_state before the connection manager that sets tp.source to %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% in on_new_connection',
  },
  'rules-of-another-policy': {
    severity: 'error',
    danger:
      'the decision is skipped by what another policy allows than the one that Check judges the route by',
    fix: 'name the same policy in trustplane.policy of every route and behind ?policy= in the name of the rules',
  },
  'rules-of-another-service': {
    severity: 'error',
    danger:
      'the rules are those of another service than the certificate names, and Check judges by the certificate',
    fix: 'name the same SPIFFE ID in the rules and in the certificate',
  },
} as const;
