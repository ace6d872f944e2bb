import { encodeRevocation, revocationKey } from '../../src/revocations/revocation-record.ts';
import { encodeSuspension, suspensionKey } from '../../src/revocations/suspension-record.ts';

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

/** One of a suspension in the same bucket, and what it is once that is lifted. */
export function suspensionRecord(spiffeId: string, now: number) {
  const said = { reason: 'test', by: 'test' };
  const fact = { kind: 'spiffe-id', value: spiffeId, since: now, at: now, ...said } as const;
  return {
    key: suspensionKey(fact),
    value: new Uint8Array(encodeSuspension(fact)),
    liftedAt: (at: number) =>
      new Uint8Array(encodeSuspension({ ...fact, lifted: { at, ...said } })),
  };
}
