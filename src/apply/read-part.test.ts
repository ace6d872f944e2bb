import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import '../../test/fakes/property-seed.ts';
import { locatePart, readPart } from './read-part.ts';

const read = (text: string, firstLine = 1) => readPart({ file: 'x.json', text, firstLine });

describe('reading a document', () => {
  it('that is JSON gives what YAML gives', () => {
    const value = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue(), { maxKeys: 5 });
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 2), (json, indent) => {
        const part = { file: 'x.json', text: `\n${JSON.stringify(json, undefined, indent)}\n` };
        const located = locatePart({ ...part, firstLine: 5 });
        expect(readPart({ ...part, firstLine: 5 })).toEqual({ line: 6, value: located.value });
      }),
      { numRuns: 100 },
    );
  });

  it.each([
    ['{"a": 1,\n "a": 2}', { complaint: 'x.json:2:2: the key a stands here a second time' }],
    ['{"a": 1', { complaint: expect.stringMatching(/^x\.json:1:8: /u) }],
    ['{"<<": {}}', { complaint: 'x.json:1:2: merge keys (<<) are not allowed' }],
    ['{"__proto__": {}}', { complaint: 'x.json:1:2: the key __proto__ is not allowed' }],
    ['{"a": [{"__proto__": 1}]}', { complaint: expect.stringContaining('__proto__') }],
    ['{"a": 9007199254740993}', { line: 1, value: { a: 9_007_199_254_740_992 } }],
    ['{a: b} # YAML', { line: 1, value: { a: 'b' } }],
  ])('%j is judged as YAML', (text, expected) => {
    expect(read(text)).toEqual(expected);
  });
});
