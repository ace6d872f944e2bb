import { quote, TrustplaneError } from '../../spiffe/index.ts';
import type { JwtProvider } from './bootstrap-options.ts';

const HTTPS_PORT = 443;
const FORM = 'issuer=<issuer>,audience=<audience>,jwks=<https URL or file>';
const VALUE = /^[^\p{Cc}\p{Cs}\s,]+$/u;

/**
 * Each `issuer=…,audience=…,jwks=…`; audience may come again.
 * @throws TrustplaneError ERR_USAGE
 */
export function parseJwtProviders(texts: readonly string[]): readonly JwtProvider[] {
  const providers = texts.map(parseProvider);
  const issuers = providers.map(({ issuer }) => issuer);
  const twice = issuers.find((issuer, index) => issuers.indexOf(issuer) < index);
  if (twice !== undefined) throw usage(`--jwt-provider names the issuer ${quote(twice)} twice`);
  return providers;
}

function parseProvider(text: string): JwtProvider {
  const values: Record<string, string[]> = { issuer: [], audience: [], jwks: [] };
  for (const part of text.split(',')) {
    const equals = part.indexOf('=');
    const value = part.slice(equals + 1);
    const list = equals === -1 ? undefined : values[part.slice(0, equals)];
    if (list === undefined || !VALUE.test(value))
      throw usage(`--jwt-provider is ${FORM}; got ${quote(part)}`);
    list.push(value);
  }
  const {
    issuer: [issuer, ...otherIssuers] = [],
    audience = [],
    jwks: [jwks, ...others] = [],
  } = values;
  if (
    issuer === undefined ||
    jwks === undefined ||
    audience.length === 0 ||
    otherIssuers.length + others.length > 0
  )
    throw usage(
      `--jwt-provider takes one issuer, one jwks and each audience that is meant: ${FORM}; got ${quote(text)}`,
    );
  return { issuer, audiences: audience, keys: parseKeys(jwks) };
}

function parseKeys(text: string): JwtProvider['keys'] {
  if (text.startsWith('/')) return { file: text };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.hash !== '')
    throw usage(
      `jwks of --jwt-provider is an https URL or the absolute path of a file; got ${quote(text)}`,
    );
  const host = url.hostname.replace(/^\[(.*)\]$/u, '$1');
  return { url: url.href, host, port: url.port === '' ? HTTPS_PORT : Number(url.port) };
}

function usage(message: string): TrustplaneError {
  return new TrustplaneError('ERR_USAGE', message);
}
