import type { RegistrationEntry } from '../spiffe/index.ts';
import { type FindingCode, findingCodes, rankOf, type Weight } from './finding-codes.ts';

/** One thing that explains, with what to do about it. */
export interface Finding {
  readonly code: FindingCode;
  readonly message: string;
  /** Often a command; empty where there is nothing to do. */
  readonly nextStep: string;
  readonly entryId: string;
  readonly spiffeId: string;
}

export function finding(
  code: FindingCode,
  message: string,
  nextStep: string,
  entry?: RegistrationEntry,
): Finding {
  return {
    code,
    message,
    nextStep,
    entryId: entry?.id ?? '',
    spiffeId: entry?.spiffeId.toString() ?? '',
  };
}

export function weightOf({ code }: Pick<Finding, 'code'>): Weight {
  return findingCodes[code][0];
}

/** By what explains most; those of one code as they come. */
export function ranked(findings: readonly Finding[]): readonly Finding[] {
  return [...findings].sort((a, b) => rankOf(a.code) - rankOf(b.code));
}

/** `2026-01-01T00:00:00Z` */
export function instantText(ms: number): string {
  return new Date(ms).toISOString().replace('.000Z', 'Z');
}

/** A word of a command, quoted where a shell would read it otherwise. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/u.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
