import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ProtoCursor } from './proto-cursor.ts';
import { writeField } from './proto-writer.ts';
import { RepeatedTexts } from './repeated-texts.ts';

function read(texts: RepeatedTexts, text: string): string {
  const cursor = new ProtoCursor(writeField(5, text));
  cursor.next();
  return texts.read(cursor);
}

it('are read as they are, whatever else looks like them', () => {
  const texts = new RepeatedTexts(3);
  // All alike at their ends, where they are sampled.
  const alike = fc
    .tuple(fc.constantFrom(0, 10, 200, 300, 9_000), fc.string({ maxLength: 3, unit: 'grapheme' }))
    .map(([length, head]) => head + 'x'.repeat(length));
  fc.assert(
    fc.property(fc.array(alike, { maxLength: 30 }), (all) => {
      for (const text of all) expect(read(texts, text)).toBe(text);
    }),
  );
});

it('refuse what is no text', () => {
  const cursor = new ProtoCursor(Buffer.from([0x28, 1]));
  cursor.next();
  expect(() => new RepeatedTexts(3).read(cursor)).toThrow('wire type 0');
});
