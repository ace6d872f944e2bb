import { createHash } from 'node:crypto';
import { z } from 'zod';

/** Somebody who does not have an authority, and why. */
export interface Behind {
  readonly who: string;
  readonly why: string;
}

/** What a server says of the agents that it tells of changes. */
export interface Evidence {
  /** Fingerprints of the X.509 authorities that all of them have, as `fingerprintOf` makes them. */
  readonly known: readonly string[];
  /** Of the other authorities in the bundle as it sees it: some of those who do not have them. */
  readonly behind: readonly {
    readonly authority: string;
    readonly count: number;
    readonly some: readonly Behind[];
  }[];
  /** Streams that did not take what their agents confirmed; nobody waits for them. */
  readonly laggards: readonly Behind[];
  /** Some of those who ask for bundles by themselves, which takes them a while. */
  readonly readers: readonly string[];
}

/** What of it is written. */
const evidenceLimits = {
  known: 1_024,
  /** Authorities that somebody does not have, and how many of those are named. */
  behind: 8,
  named: 5,
  textChars: 512,
} as const;

const text = z.string().max(evidenceLimits.textChars);
const fingerprint = z.string().regex(/^[A-Za-z0-9_-]{22}$/u);
const behind = z.object({ who: text, why: text });

export const evidenceSchema: z.ZodType<Evidence> = z.object({
  known: z.array(fingerprint).max(evidenceLimits.known),
  behind: z
    .array(
      z.object({
        authority: fingerprint,
        count: z.int().positive(),
        some: z.array(behind).max(evidenceLimits.named),
      }),
    )
    .max(evidenceLimits.behind),
  laggards: z.array(behind).max(evidenceLimits.named),
  readers: z.array(text).max(evidenceLimits.named),
});

/** Names an X.509 authority (DER): 128 bits of its SHA-256, base64url. */
export function fingerprintOf(certificate: Uint8Array): string {
  return createHash('sha256').update(certificate).digest().subarray(0, 16).toString('base64url');
}

/** As much of it as is written. */
export function boundEvidence(evidence: Evidence): Evidence {
  const { behind: all, known, laggards, readers } = evidence;
  return {
    known: known.slice(-evidenceLimits.known),
    behind: all
      .slice(-evidenceLimits.behind)
      .map((each) => ({ ...each, some: each.some.slice(0, evidenceLimits.named).map(cut) })),
    laggards: laggards.slice(0, evidenceLimits.named).map(cut),
    readers: readers.slice(0, evidenceLimits.named).map(cutText),
  };
}

function cut({ who, why }: Behind): Behind {
  return { who: cutText(who), why: cutText(why) };
}

function cutText(whole: string): string {
  return whole.slice(0, evidenceLimits.textChars);
}
