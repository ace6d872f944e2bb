/** What is found of requests, before anything is decided about them. */
export const requestRules = {
  // What a request says
  'path-not-normalized': {
    severity: 'error',
    danger:
      'dot segments and escapes pass rules on paths (/x/../admin, /%61dmin), and the application resolves them',
    fix: 'set normalize_path: true',
  },
  'slashes-not-merged': {
    severity: 'error',
    danger: 'a doubled slash passes rules on paths (//admin), and many applications drop it',
    fix: 'set merge_slashes: true',
  },
  'escaped-slashes-kept': {
    severity: 'error',
    danger:
      'an escaped slash passes rules on paths (/x/..%2fadmin), and many applications decode it',
    fix: 'set path_with_escaped_slashes_action: REJECT_REQUEST',
  },
  'host-port-kept': {
    severity: 'warning',
    danger:
      'a port after the host (example.com:8080) passes rules and virtual hosts that name the host',
    fix: 'set strip_any_host_port: true',
  },
  'host-dot-kept': {
    severity: 'warning',
    danger: 'a dot after the host (example.com.) passes rules and virtual hosts that name the host',
    fix: 'set strip_trailing_host_dot: true',
  },
  'underscores-allowed': {
    severity: 'warning',
    danger:
      'a caller writes x_user beside x-user, which CGI and WSGI applications take for the same header',
    fix: 'set headers_with_underscores_action: REJECT_REQUEST',
  },
  'original-path-believed': {
    severity: 'error',
    danger:
      'rules see the path that the caller wrote into x-envoy-original-path, and the application gets another',
    fix: 'write %PATH(NQ:PATH)%',
  },
  'forwarded-certificate-always': {
    severity: 'error',
    danger:
      'anyone writes x-forwarded-client-cert, also without a certificate, and the application believes it',
    fix: 'set forward_client_cert_details: SANITIZE_SET, or SANITIZE where nobody reads the header',
  },
  'forwarded-certificate-believed': {
    severity: 'warning',
    danger:
      'the application is told of an identity that the caller wrote into x-forwarded-client-cert itself',
    fix: 'set forward_client_cert_details: SANITIZE_SET, or SANITIZE where nobody reads the header',
  },
  'forwarded-certificate-empty': {
    severity: 'info',
    danger:
      'x-forwarded-client-cert says nothing of who calls: no certificate is asked for, or its URI is left out',
    fix: 'set SANITIZE, or add set_current_client_cert_details: { uri: true }',
  },
  'client-address-forgeable': {
    severity: 'error',
    danger: 'the address that rules see is what the caller wrote into x-forwarded-for',
    fix: 'match direct_remote_ip, or set use_remote_address: true without xff_num_trusted_hops',
  },
  'forwarded-hops-trusted': {
    severity: 'warning',
    danger: 'who reaches this listener past the proxies chooses its address in x-forwarded-for',
    fix: 'remove xff_num_trusted_hops, unless nobody but those proxies can connect',
  },
  // Tokens
  'jwt-issuer-missing': {
    severity: 'error',
    danger: 'a token of any issuer is taken whose key is in the set',
    fix: 'set issuer',
  },
  'jwt-audiences-missing': {
    severity: 'error',
    danger: 'a token that was made out for another service is taken',
    fix: 'set audiences',
  },
  'jwt-header-forgeable': {
    severity: 'error',
    danger: 'on ways where no rule asks for a token the header with claims is what the caller sent',
    fix: 'add a rule with a requirement for the prefix / at the end, or read claims from metadata',
  },
  'jwt-failure-allowed': {
    severity: 'warning',
    danger: 'a token that is forged or expired is let in like none',
    fix: 'use allow_missing',
  },
  'jwks-in-clear': {
    severity: 'error',
    danger: 'who is on the way to the key set puts keys of its own into it, and signs any token',
    fix: 'fetch it over https, and verify the server',
  },
} as const;
