import { describe, expect, it } from 'vitest';
import type { AttestedNode } from '../../src/attest/index.ts';
import { type ErrorCode, TrustplaneError } from '../../src/spiffe/index.ts';

/** Of an attestor: what it accepts, and what it makes of it. */
export interface AttestorTrial<Document> {
  readonly document: Document;
  attest(document: Document): Promise<AttestedNode>;
}

/** One thing that is wrong with a document. */
export interface DocumentMutation<Document> {
  readonly what: string;
  readonly mutate: (document: Document) => Document | Promise<Document>;
  readonly code: ErrorCode;
  /** Part of the message. */
  readonly reason: string;
  /** `what` of another mutation that is refused for the same reason, and rightly so. */
  readonly sameReasonAs?: string;
}

/** A refusal, but for the values in it: what is quoted, numbers, and long words of hex or base64. */
export function reasonOf({ code, message }: TrustplaneError): string {
  const bare = message
    .replace(/"(?:[^"\\]|\\.)*"/gu, '""')
    .replace(/\b[A-Za-z0-9+/_-]{24,}={0,2}/gu, '#')
    .replace(/\d+/gu, '#');
  return `${code}: ${bare}`;
}

const LEAST = 20;

/** What is wrong with the reasons of a set of refusals, by mutation; nothing where all is well. */
export function findSharedReasons(
  refusals: readonly { readonly what: string; readonly reason: string; readonly sameAs?: string }[],
): readonly string[] {
  const faults: string[] = [];
  const first = new Map<string, string>();
  for (const { what, reason, sameAs } of refusals) {
    const other = first.get(reason);
    if (other === undefined) first.set(reason, what);
    if (other === undefined && sameAs !== undefined) faults.push(`${what}: not as ${sameAs}`);
    if (other !== undefined && other !== sameAs) faults.push(`${what}: as ${other}: ${reason}`);
  }
  if (first.size < LEAST) faults.push(`${first.size} reasons; expected at least ${LEAST}`);
  return faults;
}

/**
 * The valid document joins, and each mutation of it is refused, with a code and a reason of its own; at
 * least 20 reasons in all.
 * @param open makes an attestor that has seen nothing, and a document it accepts
 */
export function describeMutations<Document>(
  attestor: string,
  open: () => Promise<AttestorTrial<Document>>,
  mutations: readonly DocumentMutation<Document>[],
): void {
  describe(`${attestor}: a document with one thing wrong`, () => {
    it.each(mutations)('is refused for $what', async ({ mutate, code, reason }) => {
      const valid = await open();
      await expect(valid.attest(valid.document)).resolves.toBeDefined();
      expect(await refusalOf(open, mutate)).toMatchObject({
        code,
        message: expect.stringContaining(reason),
      });
    });

    it('is told its own reason, one of at least 20', async () => {
      const refusals = mutations.map(async ({ what, mutate, sameReasonAs }) => ({
        what,
        reason: reasonOf(await refusalOf(open, mutate)),
        ...(sameReasonAs !== undefined && { sameAs: sameReasonAs }),
      }));
      expect(findSharedReasons(await Promise.all(refusals))).toEqual([]);
    });
  });
}

async function refusalOf<Document>(
  open: () => Promise<AttestorTrial<Document>>,
  mutate: (document: Document) => Document | Promise<Document>,
): Promise<TrustplaneError> {
  const { document, attest } = await open();
  const mutated = await mutate(document);
  const outcome: unknown = await attest(mutated).catch((error: unknown) => error);
  if (outcome instanceof TrustplaneError) return outcome;
  throw new Error(`it was not refused, or not by the attestor: ${String(outcome)}`, {
    cause: outcome,
  });
}
