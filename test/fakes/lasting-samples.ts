import { encodeRevocation, revocationKey } from '../../src/revocations/revocation-record.ts';

export function bytesOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text));
}

export function textOf(value: Uint8Array | undefined): string | undefined {
  return value && Buffer.from(value).toString();
}

/** A record of the bucket `revocations` that lasts for an hour. */
export function revocationRecord(spiffeId: string, now: number) {
  const revocation = {
    kind: 'spiffe-id',
    value: spiffeId,
    issuedBefore: now,
    expiresAt: now + 3_600_000,
    reason: 'test',
  } as const;
  return { key: revocationKey(revocation), value: new Uint8Array(encodeRevocation(revocation)) };
}
