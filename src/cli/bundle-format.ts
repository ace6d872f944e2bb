import { Option } from 'commander';
import {
  type Bundle,
  encodePem,
  type IgnoredKey,
  parseBundleDocument,
  parsePemBundle,
  serializeBundleDocument,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { readInput } from './read-input.ts';

export type BundleFormat = 'pem' | 'spiffe';

const MAX_BYTES = 1 << 20;

export function formatOption(flags: string, description: string): Option {
  return new Option(flags, description).choices(['pem', 'spiffe']);
}

/** A trust domain as people name it: `b.test` or `spiffe://b.test`. @throws TrustplaneError ERR_TRUST_DOMAIN */
export function trustDomainOf(text: string): TrustDomain {
  return TrustDomain.parse(text.replace(/^spiffe:\/\//u, ''));
}

/** Reads a bundle from a file or (`-`) standard input. @throws TrustplaneError ERR_FILE_*, ERR_PEM, ERR_JSON, ERR_BUNDLE, ERR_CERTIFICATE */
export async function readBundle(
  trustDomain: TrustDomain,
  path: string,
  format: BundleFormat,
): Promise<{ readonly bundle: Bundle; readonly ignoredKeys: readonly IgnoredKey[] }> {
  const bytes = await readInput(path, MAX_BYTES);
  const text = Buffer.from(bytes).toString('latin1');
  try {
    if (format === 'spiffe') return parseBundleDocument(trustDomain, bytes);
    return { bundle: parsePemBundle(trustDomain, text), ignoredKeys: [] };
  } catch (cause) {
    if (!(cause instanceof TrustplaneError)) throw cause;
    const hint = isOther(text, format) ? '; it looks like the other format (pem, spiffe)' : '';
    const place = path === '-' ? 'standard input' : path;
    throw new TrustplaneError(cause.code, `${place}, read as ${format}: ${cause.message}${hint}`, {
      cause,
    });
  }
}

function isOther(text: string, format: BundleFormat): boolean {
  const looks = text.trimStart().startsWith('{') ? 'spiffe' : 'pem';
  return looks !== format && (looks === 'spiffe' || text.includes('-----BEGIN'));
}

/** The X.509 authorities in PEM, or the SPIFFE bundle document. */
export function formatBundle(bundle: Bundle, format: BundleFormat): string {
  if (format === 'spiffe') return `${serializeBundleDocument(bundle, { indent: 2 })}\n`;
  return bundle.x509Authorities
    .map(({ certificate }) => encodePem('CERTIFICATE', certificate))
    .join('');
}
