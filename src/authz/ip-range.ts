import { TrustplaneError } from '../spiffe/errors.ts';
import { quote } from '../spiffe/quote.ts';

/** Addresses with a common beginning, as in `10.8.0.0/16`. */
export interface IpRange {
  readonly text: string;
  /** 4 or 16 bytes. */
  readonly bytes: readonly number[];
  readonly bits: number;
}

/** Parses an address, or an address and a length. @throws TrustplaneError ERR_POLICY_PATTERN */
export function parseIpRange(text: string): IpRange {
  const [address = '', length, ...more] = text.split('/');
  const bytes = parseIp(address);
  const most = (bytes?.length ?? 0) * 8;
  const bits = length === undefined ? most : Number(length);
  const isLength = length === undefined || /^\d{1,3}$/u.test(length);
  if (bytes === undefined || more.length > 0 || !isLength || bits > most)
    throw bad(text, 'is no IP address or range such as 10.8.0.0/16');
  const range = { text, bytes, bits };
  const beyond = bytes.some((byte, at) => (byte & ~maskOf(bits, at) & 255) !== 0);
  if (beyond) throw bad(text, `has bits set after the first ${bits}`);
  return range;
}

export function rangeHolds(range: IpRange, address: readonly number[]): boolean {
  if (address.length !== range.bytes.length) return false;
  return range.bytes.every(
    (byte, at) => (((address[at] ?? 0) ^ byte) & maskOf(range.bits, at)) === 0,
  );
}

/** The bytes of an address, of an IPv4 address in IPv6 (`::ffff:1.2.3.4`) its four; undefined if it is none. */
export function parseIp(text: string): readonly number[] | undefined {
  if (!text.includes(':')) return parseIpv4(text);
  const bytes = parseIpv6(text);
  const isMapped =
    bytes?.slice(0, 10).every((byte) => byte === 0) === true &&
    bytes[10] === 255 &&
    bytes[11] === 255;
  return isMapped ? bytes.slice(12) : bytes;
}

function parseIpv4(text: string): number[] | undefined {
  if (!/^(?:(?:0|[1-9]\d{0,2})(?:\.(?!$)|$)){4}$/u.test(text)) return undefined;
  const bytes = text.split('.').map(Number);
  return bytes.every((byte) => byte < 256) ? bytes : undefined;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => groupsOf(half));
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  if (tail === undefined) return head.length === 16 ? head : undefined;
  const zeros = 16 - head.length - tail.length;
  return zeros < 2 ? undefined : [...head, ...Array<number>(zeros).fill(0), ...tail];
}

function groupsOf(half: string): number[] | undefined {
  if (half === '') return [];
  const groups = half.split(':');
  const bytes: number[] = [];
  for (const [at, group] of groups.entries()) {
    const last = at === groups.length - 1 ? parseIpv4(group) : undefined;
    if (last !== undefined) bytes.push(...last);
    else if (/^[0-9a-fA-F]{1,4}$/u.test(group))
      bytes.push(Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255);
    else return undefined;
  }
  return bytes;
}

function maskOf(bits: number, at: number): number {
  const left = Math.min(8, Math.max(0, bits - at * 8));
  return (255 << (8 - left)) & 255;
}

function bad(text: string, why: string): TrustplaneError {
  return new TrustplaneError('ERR_POLICY_PATTERN', `${quote(text)} ${why}`);
}
