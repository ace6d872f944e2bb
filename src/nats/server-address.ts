import { isIP, isIPv4, isIPv6 } from 'node:net';
import { quote, TrustplaneError } from '../spiffe/index.ts';

/** Where a nats-server listens for clients. */
export interface NatsAddress {
  /** DNS name or IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

const DEFAULT_PORT = 4222;
const MAX_CHARACTERS = 300;
const URL = /^(nats|tls):\/\/(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+))(?::([1-9][0-9]{0,4}))?$/u;
const LABEL = /^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/u;

/**
 * Parses `nats://host[:port]` or `tls://host[:port]`, with nothing else in it: a user or password in
 * a URL would end up in logs.
 * @throws TrustplaneError ERR_NATS_SERVERS, which does not repeat a text with an `@`
 */
export function parseNatsAddress(text: string): NatsAddress {
  const [, scheme, ipv6, name, port = `${DEFAULT_PORT}`] = URL.exec(clip(text)) ?? [];
  const host = ipv6 ?? name;
  if (host === undefined || !isHost(host, ipv6 !== undefined) || Number(port) > 65_535) {
    const got = text.includes('@') ? 'one with a user or password' : quote(clip(text));
    throw new TrustplaneError(
      'ERR_NATS_SERVERS',
      `a nats-server is nats://host[:port] or tls://host[:port]; got ${got}`,
    );
  }
  return { host, port: Number(port), isTls: scheme === 'tls' };
}

/** `host:port`, with brackets around IPv6. */
export function formatNatsAddress({ host, port }: Pick<NatsAddress, 'host' | 'port'>): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** Whether it is this host, by a name or address that can be nothing else. */
export function isLoopback({ host }: NatsAddress): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

function isHost(host: string, isBracketed: boolean): boolean {
  if (isBracketed) return isIPv6(host);
  if (isIP(host) !== 0) return true;
  const labels = host.split('.');
  // A name whose last label is a number is a malformed IPv4 address.
  return labels.every((label) => LABEL.test(label)) && !/^[0-9]+$/u.test(labels.at(-1) ?? '');
}

function clip(text: string): string {
  return text.slice(0, MAX_CHARACTERS);
}
