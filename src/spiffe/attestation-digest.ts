import { createHash } from 'node:crypto';
import { formatSelector, type Selector } from './selector.ts';

/** SHA-256, hex, of the selectors a node was attested with: sorted by text, one to a line. */
export function attestationDigest(selectors: readonly Selector[]): string {
  const texts = selectors.map(formatSelector).sort();
  return createHash('sha256').update(texts.join('\n')).digest('hex');
}
