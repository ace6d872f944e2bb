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
  return `${ROOT}.relay.${domainToken(own)}.${domainToken(foreign)}`;
}

/** Where the servers of `receiver` say which bundle of `publisher` they hold. */
export function ackSubject(publisher: TrustDomain, receiver: TrustDomain): string {
  return `${ROOT}.ack.${domainToken(publisher)}.${domainToken(receiver)}`;
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
