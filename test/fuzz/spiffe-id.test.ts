import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatSelector, parseSelector } from '../../src/spiffe/selector.ts';
import { SpiffeId } from '../../src/spiffe/spiffe-id.ts';
import { attempt } from './attempt.ts';

/** The grammar of SPIFFE-ID §2 as one regular language. */
const GRAMMAR = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/;
const words = ['spiffe', ':', '//', '/', 'a', 'Z', '9', '.', '..', '-', '_', '%41', '@', '?', 'é'];
const pieces = fc.constantFrom(...words, '#', ' ');
const nearlyValid = fc
  .array(pieces, { maxLength: 12 })
  .map((parts) => `spiffe://a.test/${parts.join('')}`);
const texts = fc.oneof(
  nearlyValid,
  fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary' }),
);

describe('SpiffeId under arbitrary text', () => {
  it('accepts exactly the regular language of the standard, unchanged', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const id = attempt(() => SpiffeId.parse(text));
        expect(id?.toString()).toBe(GRAMMAR.test(text) ? text : undefined);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('parseSelector under arbitrary text', () => {
  it('reads back what it formats', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          texts,
          fc.string().map((text) => `unix:${text}`),
        ),
        (text) => {
          const selector = attempt(() => parseSelector(text));
          expect(selector === undefined ? text : formatSelector(selector)).toBe(text);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
