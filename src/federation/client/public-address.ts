import { BlockList, isIPv4 } from 'node:net';

/** Addresses that are not globally reachable (IANA special-purpose registries), and multicast. */
const special = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  special.addSubnet(network, prefix);

/** Of IPv6 only global unicast is public, without what embeds other addresses or is for documentation. */
const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
const specialUnicast = new BlockList();
for (const [network, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  specialUnicast.addSubnet(network, prefix, 'ipv6');

const MAPPED = /^::ffff:(?<v4>[0-9.]+)$/iu;

/** True for an IP address that everybody on the Internet reaches. */
export function isPublicAddress(address: string): boolean {
  const v4 = MAPPED.exec(address)?.groups?.['v4'] ?? address;
  if (isIPv4(v4)) return !special.check(v4);
  return globalUnicast.check(address, 'ipv6') && !specialUnicast.check(address, 'ipv6');
}
