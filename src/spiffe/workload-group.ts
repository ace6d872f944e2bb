import { hash } from 'node:crypto';
import type { SelectorSet } from './selector.ts';

/** Workloads of one host that show the same selectors. */
export interface WorkloadGroup {
  /** Digests of the selectors, see `selectorDigest`. */
  readonly selectors: ReadonlySet<string>;
  /** Processes with open streams. */
  readonly workloads: number;
}

const DIGEST_BYTES = 8;

/** Tells selectors apart, and does not say what they are: hex of the first 8 bytes of SHA-256. */
export function selectorDigest(text: string): string {
  return hash('sha256', text).slice(0, DIGEST_BYTES * 2);
}

export function workloadGroupOf(selectors: SelectorSet, workloads: number): WorkloadGroup {
  return { selectors: new Set(selectors.texts.map(selectorDigest)), workloads };
}
