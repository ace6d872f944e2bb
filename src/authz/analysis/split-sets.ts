import type { IpRange } from '../ip-range.ts';
import type { Branch } from './branch.ts';
import type { Choice } from './choice.ts';
import type { Draft } from './draft.ts';

const USUAL_METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'];
const LAST_PORT = 65_535;
const MAPPED = 0xffffn << 32n;
const A_SECOND_MS = 1_000;

/** Every method that is named, another one, and no HTTP at all. */
export function splitMethods(live: readonly Branch[]): Choice[] {
  const named = new Set(live.flatMap(({ methods }) => methods ?? []));
  let other = USUAL_METHODS.find((method) => !named.has(method)) ?? 'X';
  while (named.has(other)) other += 'X';
  const choices = [...named, other].map(
    (method): Choice => ({
      live: live.filter(({ methods }) => methods?.includes(method) ?? true),
      apply: (draft) => (draft.method = method),
    }),
  );
  const bare = live.filter(({ needsHttp }) => !needsHttp);
  if (bare.length === live.length) return choices;
  return [...choices, { live: bare, apply: (draft) => (draft.method = undefined) }];
}

export function splitPorts(live: readonly Branch[]): Choice[] {
  const named = new Set(live.flatMap(({ ports }) => ports ?? []));
  let other: number | undefined = 1;
  while (named.has(other)) other++;
  if (other > LAST_PORT) other = undefined;
  return [...named, other, undefined].map((port) => ({
    live: live.filter(
      ({ ports }) => ports === undefined || (port !== undefined && ports.includes(port)),
    ),
    apply: (draft) => (draft.port = port),
  }));
}

/** `from` is in, `until` is out. */
export function splitTimes(live: readonly Branch[]): Choice[] {
  const bounds = [
    ...new Set(live.flatMap(({ from, until }) => [from ?? [], until ?? []].flat())),
  ].sort((a, b) => a - b);
  const [first = 0] = bounds;
  return [...bounds, first - A_SECOND_MS].map((now) => ({
    live: live.filter(
      ({ from = now, until = Number.POSITIVE_INFINITY }) => now >= from && now < until,
    ),
    apply: (draft) => (draft.now = now),
  }));
}

export function splitAddresses(
  live: readonly Branch[],
  field: 'sourceIp' | 'destinationIp',
): Choice[] {
  const choiceOf = (address: Address | undefined): Choice => ({
    live: live.filter((branch) => {
      const ranges = branch[field];
      return (
        ranges === undefined || (address !== undefined && ranges.some((one) => holds(one, address)))
      );
    }),
    apply: (draft: Draft) => (draft[field] = address && textOf(address)),
  });
  const ranges = live.flatMap((branch) => branch[field] ?? []);
  return [4, 16]
    .flatMap((bytes) => startsOf(bytes, ranges))
    .map(choiceOf)
    .concat(choiceOf(undefined));
}

interface Address {
  readonly bytes: number;
  readonly value: bigint;
}

/** The first address of every stretch in which all are of the same ranges. */
function startsOf(bytes: number, ranges: readonly IpRange[]): Address[] {
  const end = 1n << BigInt(bytes * 8);
  const mapped = bytes === 16 ? [MAPPED, MAPPED + (1n << 32n)] : [];
  const bounds = ranges
    .filter((range) => range.bytes.length === bytes)
    .flatMap((range) => [startOf(range), endOf(range)]);
  return [...new Set([0n, ...bounds, ...mapped])]
    .filter((value) => value < end && (bytes === 4 || value >> 32n !== 0xffffn))
    .map((value) => ({ bytes, value }));
}

function startOf({ bytes }: IpRange): bigint {
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

function endOf(range: IpRange): bigint {
  return startOf(range) + (1n << BigInt(range.bytes.length * 8 - range.bits));
}

function holds(range: IpRange, { bytes, value }: Address): boolean {
  return range.bytes.length === bytes && value >= startOf(range) && value < endOf(range);
}

function textOf({ bytes, value }: Address): string {
  if (bytes === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, at) => (value >> BigInt(112 - 16 * at)) & 0xffffn);
  return groups.map((group) => group.toString(16)).join(':');
}
