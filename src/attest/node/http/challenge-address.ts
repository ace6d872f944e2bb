import { BlockList, isIP } from 'node:net';

/** Of networks that no host of a fleet has, and where services answer to whoever asks from here. */
const OWN_AND_METADATA = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '100.100.100.200/32',
  '168.63.129.16/32',
  '192.0.0.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  // IPv4 within IPv6: compatible, NAT64 (RFC 6052, RFC 8215), Teredo, 6to4.
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '2001::/32',
  '2002::/16',
  'fe80::/10',
  'ff00::/8',
  'fd00:ec2::/32',
];

/** IPv4 in the guise of IPv6. */
const MAPPED = /^::ffff:|:.*\./iu;

/** Parses networks such as `10.0.0.0/8`. @throws Error */
function parseNetworks(networks: readonly string[]): (address: string) => boolean {
  const list = new BlockList();
  for (const network of networks) {
    const [, address = '', bits = ''] = /^([0-9a-f.:]+)\/(\d{1,3})$/u.exec(network) ?? [];
    const family = isIP(address);
    if (family === 0 || Number(bits) > (family === 4 ? 32 : 128))
      throw new Error(`expected a network such as 10.0.0.0/8, got ${JSON.stringify(network)}`);
    list.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6');
  }
  return (address) => list.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

const isBarred = parseNetworks(OWN_AND_METADATA);

/**
 * Whether a server may ask a host at an address: one of the networks; without any, all but its own,
 * link-local ones, those of metadata services, multicast, and IPv4 in the guise of IPv6.
 * @throws Error
 */
export function createAddressGuard(networks?: readonly string[]): (address: string) => boolean {
  const isAllowed =
    networks === undefined ? (address: string) => !isBarred(address) : parseNetworks(networks);
  return (address) => !MAPPED.test(address) && isAllowed(address);
}
