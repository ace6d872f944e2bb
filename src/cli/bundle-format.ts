import { Option } from 'commander';
import {
  type Bundle,
  encodePem,
  type IgnoredKey,
  parseBundleDocument,
  parsePemBundle,
  serializeBundleDocument,
  TrustDomain,
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
  if (format === 'spiffe') return parseBundleDocument(trustDomain, bytes);
  const text = Buffer.from(bytes).toString('latin1');
  return { bundle: parsePemBundle(trustDomain, text), ignoredKeys: [] };
}

/** The X.509 authorities in PEM, or the SPIFFE bundle document. */
export function formatBundle(bundle: Bundle, format: BundleFormat): string {
  if (format === 'spiffe') return `${serializeBundleDocument(bundle, { indent: 2 })}\n`;
  return bundle.x509Authorities
    .map(({ certificate }) => encodePem('CERTIFICATE', certificate))
    .join('');
}
