import { entryLimits } from './entry-limits.ts';

const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/u;

/**
 * Why a text is no DNS name for a SAN, or undefined when it is one: RFC 1123 labels in lower case, the
 * first may be `*` (RFC 6125 §6.4.3), no trailing dot, and nothing that reads as an IP address.
 */
export function dnsNameFault(name: string): string | undefined {
  if (name.length === 0 || name.length > entryLimits.dnsNameBytes) {
    return `has ${name.length} characters, not 1 to ${entryLimits.dnsNameBytes}`;
  }
  const labels = name.split('.');
  const wildcard = labels[0] === '*';
  if (wildcard && labels.length === 1) return 'is a wildcard of everything';
  const bad = (wildcard ? labels.slice(1) : labels).find(
    (label) => label.length > entryLimits.dnsLabelBytes || !LABEL.test(label),
  );
  if (bad !== undefined) return `has the label ${JSON.stringify(bad.slice(0, 80))}`;
  if (/^[0-9]+$/u.test(labels.at(-1) ?? '')) return 'ends in a number, as an IP address does';
  return undefined;
}
