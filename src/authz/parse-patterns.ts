import { messageOf } from '../spiffe/errors.ts';
import { SpiffeId } from '../spiffe/spiffe-id.ts';
import { isCanonicalPath } from './canonical-request.ts';
import { Pattern, refused, sampleOf } from './pattern.ts';

const METHOD = /^[A-Z][A-Z0-9!#$&'*+.^_`|~-]{0,31}$/u;
const GRPC = /^[A-Za-z_][\w.]*\/(?:\w+|\*)$/u;

/** A pattern for SPIFFE IDs. The trust domain is written out, or `*` as a whole. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseIdPattern(text: string): Pattern {
  const pattern = Pattern.parse(text, '/');
  const trustDomain = pattern.segments()[2] ?? '';
  if (/[*{]/u.test(trustDomain) && trustDomain !== '*')
    throw refused(text, 'has a trust domain that is neither a name nor "*"');
  try {
    SpiffeId.parse(sampleOf(pattern));
  } catch (error) {
    throw refused(text, `is not one for SPIFFE IDs: ${messageOf(error)}`);
  }
  return pattern;
}

export function isAnyTrustDomain(pattern: Pattern): boolean {
  return pattern.text.startsWith('spiffe://*');
}

/** A pattern for paths: what it is made of must be canonical and without `%`. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parsePathPattern(text: string): Pattern {
  if (text.includes('%')) throw refused(text, 'has "%"; match escaped segments with "*"');
  if (text.includes('?'))
    throw refused(text, 'has "?"; the query stands beside the path, as query: { name: value }');
  const pattern = Pattern.parse(text, '/');
  const sample = sampleOf(pattern);
  if (!isCanonicalPath(sample === '' ? '/' : sample, false))
    throw refused(
      text,
      'is not one for canonical paths, which begin with "/" and have no "//", "/./", "/../", "\\", "#" or ";"',
    );
  return pattern;
}

/** A pattern for hosts: lower case, no port. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseHostPattern(text: string): Pattern {
  const pattern = Pattern.parse(text, '.');
  const isHost = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/u.test(sampleOf(pattern)) || text === '**';
  if (!isHost) throw refused(text, 'is not one for hosts: lower case, without port and final dot');
  return pattern;
}

/** A pattern for texts such as values of headers, in which only `*` is special. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseValuePattern(text: string): Pattern {
  return Pattern.parse(text, '');
}

/** `pkg.Service/Method` or `pkg.Service/*`, as the path it is. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseGrpcPattern(text: string): Pattern {
  if (!GRPC.test(text)) throw refused(text, 'is neither package.Service/Method nor .../*');
  return Pattern.parse(`/${text}`, '/');
}

/** An upper-case token. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseMethod(text: string): string {
  if (!METHOD.test(text)) throw refused(text, 'is no method: upper case, or ANY');
  return text;
}
