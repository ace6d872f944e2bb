import type { TrustDomain } from '../spiffe/index.ts';

const ROOT = 'trustplane.v1';
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** What the stream holds that late readers are served from. */
export const allSubjects: string = `${ROOT}.>`;

/** Where a trust domain's own servers publish its bundle. */
export function bundleSubject(trustDomain: TrustDomain): string {
  return `${ROOT}.bundle.${domainToken(trustDomain)}`;
}

/** Where the servers of `own` pass on, to their own domain alone, the bundle of `foreign` that they hold. */
export function relaySubject(own: TrustDomain, foreign: TrustDomain): string {
  return `${ROOT}.relay.${oneToken(own)}.${domainToken(foreign)}`;
}

/** Where the servers of `own` pass on bundles, with a wildcard. */
export function relaySubjects(own: TrustDomain): string {
  return `${ROOT}.relay.${oneToken(own)}.>`;
}

/** Where the servers of `receiver` say which bundle of `publisher` they hold. */
export function ackSubject(publisher: TrustDomain, receiver: TrustDomain): string {
  return `${ROOT}.ack.${oneToken(publisher)}.${domainToken(receiver)}`;
}

/** Where the servers of `receiver` say which bundles they hold, with a wildcard. */
export function ackSubjects(receiver: TrustDomain): string {
  return `${ROOT}.ack.*.${domainToken(receiver)}`;
}

/** Of two names the first is one token, so that no other two make the same subject, and a wildcard means one domain. */
function oneToken({ name }: TrustDomain): string {
  return name.replaceAll('.', '~');
}

/** The name itself, its dots being those of the subject; where that makes no subject, or begins as this does, base32 (RFC 4648 §6) in lower case behind "_". */
function domainToken({ name }: TrustDomain): string {
  const isPlain = !name.startsWith('_') && name.split('.').every((token) => token !== '');
  return isPlain ? name : `_${base32(name)}`;
}

function base32(text: string): string {
  const bits = [...Buffer.from(text)].map((octet) => octet.toString(2).padStart(8, '0')).join('');
  const groups = bits.match(/.{1,5}/gu) ?? [];
  return groups.map((group) => BASE32.charAt(Number.parseInt(group.padEnd(5, '0'), 2))).join('');
}
