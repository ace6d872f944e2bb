import { isIPv4 } from 'node:net';

const MAPPED = '::ffff:';
const GROUPS = 8;

/** An address as the kernel writes it, with IPv4 in IPv6 written as IPv4. */
export function plainAddress(address: string): string {
  const mapped = address.startsWith(MAPPED) ? address.slice(MAPPED.length) : address;
  return isIPv4(mapped) ? mapped : address;
}

/**
 * Whom a source address counts for when connections are bounded: an IPv4 address itself, of IPv6
 * its /64, since one host may have all of that.
 * @param address of a socket, so it is well-formed
 */
export function sourceNetwork(address: string): string {
  const plain = plainAddress(address);
  if (isIPv4(plain)) return plain;
  const [unscoped = ''] = plain.split('%');
  const [head = '', tail] = unscoped.split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail ?? '');
  const zeros = Array.from({ length: Math.max(0, GROUPS - left.length - right.length) }, () => '0');
  return `${[...left, ...zeros, ...right].slice(0, GROUPS / 2).join(':')}::/64`;
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
