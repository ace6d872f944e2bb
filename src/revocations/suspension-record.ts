import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  messageOf,
  type Suspension,
  type SuspensionKind,
  suspensionKinds,
  TrustplaneError,
} from '../spiffe/index.ts';

const VERSION = 1;
const PREFIX = 'suspension.';
const decoder = new TextDecoder('utf-8', { fatal: true });
const instant = z.int().nonnegative();
const text = z.string();

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  kind: z.enum(suspensionKinds),
  value: text.min(1),
  since: instant,
  at: instant,
  reason: text,
  by: text,
  lifted: z.strictObject({ at: instant, reason: text, by: text }).optional(),
});

/** Who ended a suspension, when and why. */
export interface Lifting {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason: string;
  readonly by: string;
}

/** A suspension, or what is left of one that was lifted: what came before it is older. */
export interface SuspensionFact extends Suspension {
  /** When the subject was last suspended, milliseconds since the epoch; `since`, or later. */
  readonly at: number;
  readonly lifted?: Lifting | undefined;
}

export function isSuspensionKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** The store key, and the ID: one for each subject. */
export function suspensionKey(subject: {
  readonly kind: SuspensionKind;
  readonly value: string;
}): string {
  const hash = createHash('sha256').update(subject.value).digest('base64url');
  return `${PREFIX}${subject.kind}.${hash}`;
}

/** Of what was last said of the subject, milliseconds since the epoch. */
export function saidAt({ at, lifted }: SuspensionFact): number {
  return lifted?.at ?? at;
}

/** What was said later; of both at once, that it is suspended. */
export function joinSuspensions(one: SuspensionFact, other: SuspensionFact): SuspensionFact {
  if (saidAt(one) !== saidAt(other)) return saidAt(one) > saidAt(other) ? one : other;
  return one.lifted === undefined ? one : other;
}

export function encodeSuspension(fact: Omit<SuspensionFact, 'id'>): Uint8Array {
  const { kind, value, since, at, reason, by, lifted } = fact;
  const record: z.input<typeof schema> = { v: VERSION, kind, value, since, at, reason, by, lifted };
  return Buffer.from(JSON.stringify(record));
}

/** @throws TrustplaneError ERR_SUSPENSION_RECORD */
export function decodeSuspension(key: string, value: Uint8Array): SuspensionFact {
  try {
    const { v: _, ...fields } = schema.parse(JSON.parse(decoder.decode(value)));
    if (suspensionKey(fields) !== key) throw new Error('it is of another subject');
    return { id: key, ...fields };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_SUSPENSION_RECORD',
      `the suspension stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
