import { type LintRule, rule } from './lint-rule.ts';

/** What is found of requests, before anything is decided about them. */
export const requestRules = {
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
} as const satisfies Readonly<Record<string, LintRule>>;
