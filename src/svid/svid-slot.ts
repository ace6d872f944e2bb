import {
  type ErrorCode,
  issueInstant,
  type RegistrationEntry,
  type X509Svid,
} from '../spiffe/index.ts';
import { type IssuedSvid, profileOf } from './issued-svid.ts';

/** An SVID that is not in use yet. */
export interface StagedSvid {
  readonly parsed: X509Svid;
  readonly svid: Omit<IssuedSvid, 'authority'>;
}

export function stageSvid(
  parsed: X509Svid,
  origin: Pick<IssuedSvid, 'certificateChain' | 'privateKey' | 'issuedAt' | 'profile'>,
): StagedSvid {
  const { spiffeId, leaf } = parsed;
  return {
    parsed,
    svid: {
      spiffeId,
      certificateChain: origin.certificateChain,
      privateKey: origin.privateKey,
      serialNumber: leaf.serialNumber,
      signedAt: issueInstant(leaf),
      issuedAt: origin.issuedAt,
      notBefore: leaf.notBefore,
      expiresAt: leaf.notAfter,
      profile: origin.profile,
    },
  };
}

/** One entry's place in the SVID cache. */
export interface SvidSlot<H> {
  entry: RegistrationEntry;
  readonly holders: Set<H>;
  /** In use while it is servable. */
  current: IssuedSvid | undefined;
  /** Newer, but its authority is not in the bundle yet. */
  staged: StagedSvid | undefined;
  attempt: 'none' | 'queued' | 'flying';
  /** Milliseconds since the epoch; counts while there is no attempt. */
  nextAttemptAt: number;
  /** Attempts that failed since the last success. */
  failures: number;
  error: string;
  errorCode: ErrorCode | undefined;
}

export function createSvidSlot<H>(entry: RegistrationEntry): SvidSlot<H> {
  return {
    entry,
    holders: new Set(),
    current: undefined,
    staged: undefined,
    attempt: 'none',
    nextAttemptAt: 0,
    failures: 0,
    error: '',
    errorCode: undefined,
  };
}

/**
 * When the slot is to be looked at again, milliseconds since the epoch; Infinity: only an answer
 * moves it. What nobody holds is not renewed.
 */
export function wakeAt(slot: SvidSlot<unknown>): number {
  const mayAttempt = slot.attempt === 'none' && slot.holders.size > 0;
  const attemptAt = mayAttempt ? slot.nextAttemptAt : Number.POSITIVE_INFINITY;
  return Math.min(attemptAt, slot.current?.expiresAt ?? Number.POSITIVE_INFINITY);
}

/** True when the SVID in use was not made from the entry as it is now. */
export function isOutdated(slot: SvidSlot<unknown>): boolean {
  return slot.current?.profile !== profileOf(slot.entry);
}

/** An entry whose SVID could not be made or renewed, and why. */
export interface SvidFailure {
  readonly entryId: string;
  readonly spiffeId: string;
  readonly failures: number;
  readonly error: string;
  /** When the SVID in use expires, milliseconds since the epoch; undefined: there is none. */
  readonly expiresAt: number | undefined;
}

export function failureOf({ entry, failures, error, current }: SvidSlot<unknown>): SvidFailure {
  return {
    entryId: entry.id,
    spiffeId: entry.spiffeId.toString(),
    failures,
    error,
    expiresAt: current?.expiresAt,
  };
}

/** How the SVID of an entry stands, for whoever asks why. */
export interface SvidStanding {
  /** There is one that may be served; the first one is under way; there is none, or it may not be served. */
  readonly state: 'served' | 'pending' | 'failing';
  readonly serialNumber: string | undefined;
  /** Milliseconds since the epoch, both; of the one in use. */
  readonly issuedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** Attempts that failed since the last success, and why the last of these did. */
  readonly failures: number;
  readonly error: string;
  readonly errorCode: ErrorCode | undefined;
  /** Milliseconds since the epoch. */
  readonly nextAttemptAt: number;
  /** One is there whose authority is not in the bundle yet. */
  readonly isStaged: boolean;
  /** Sets of selectors that hold it. */
  readonly holders: number;
}

export function standingOf(slot: SvidSlot<unknown>, isServable: boolean): SvidStanding {
  const { current, staged, attempt, failures, error, errorCode, nextAttemptAt, holders } = slot;
  const isPending = attempt !== 'none' && failures === 0;
  return {
    state: isServable ? 'served' : isPending ? 'pending' : 'failing',
    serialNumber: current?.serialNumber,
    issuedAt: current?.issuedAt,
    expiresAt: current?.expiresAt,
    failures,
    error,
    errorCode,
    nextAttemptAt,
    isStaged: staged !== undefined,
    holders: holders.size,
  };
}
