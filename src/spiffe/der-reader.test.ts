import { describe, expect, it } from 'vitest';
import { DerReader, derContent, derTags, splitDerSequence } from './der-reader.ts';
import { derBoolean, derIntegerBytes, derNamedBits, derOid, derTime } from './der-values.ts';

const hex = (text: string): Uint8Array => Buffer.from(text.replaceAll(' ', ''), 'hex');
const element = (text: string) => DerReader.of(hex(text)).read('field');
const malformed = (why: string) =>
  expect.objectContaining({ code: 'ERR_DER', message: expect.stringContaining(why) });

describe('DerReader', () => {
  it('reads nested elements and refuses what is left over', () => {
    const reader = DerReader.of(hex('30 06 02 01 05 01 01 ff 05 00'));
    const inner = reader.enter('outer');
    expect(derContent(inner.expect(derTags.integer, 'number'))).toEqual(hex('05'));
    expect(derBoolean(inner.expect(derTags.boolean, 'flag'), 'flag')).toBe(true);
    inner.finish('outer');
    expect(() => reader.finish('input')).toThrow(malformed('has 2 trailing bytes'));
  });

  it.each([
    ['30', 'is cut short'],
    ['30 05 02 01', 'claims 5 bytes; 2 are there'],
    ['30 80 00 00', 'indefinite length'],
    ['30 81 05 0000000000', 'not minimal'],
    ['30 82 00 80', 'not minimal'],
    ['30 85 0000000001 00', 'length of 5 octets'],
    ['30 84 ffffffff', 'claims 4294967295 bytes'],
    ['30 82 01', 'is cut short'],
    ['1f 81 00 00', 'tag number over 30'],
  ])('refuses %s: %s', (bytes, why) => {
    expect(() => DerReader.of(hex(bytes)).read('field')).toThrow(malformed(why));
  });

  it('names what was expected and what came', () => {
    expect(() => DerReader.of(hex('0500')).expect(derTags.sequence, 'tbs')).toThrow(
      malformed('tbs at byte 0 has tag 0x30; got 0x05'),
    );
  });

  it('bounds depth and size', () => {
    let nested = Buffer.from('0500', 'hex');
    for (let depth = 0; depth < 60; depth++) {
      nested = Buffer.concat([Buffer.from([0x30, nested.length]), nested]);
    }
    const descend = (reader: DerReader): void => descend(reader.enter('level'));
    expect(() => descend(DerReader.of(nested))).toThrow(malformed('is nested over 24 deep'));
    expect(() => DerReader.of(new Uint8Array(11), 10)).toThrow(malformed('at most 10'));
  });

  it('splits concatenated sequences', () => {
    expect(splitDerSequence(hex('30 00 30 02 05 00'))).toEqual([hex('3000'), hex('30020500')]);
    expect(splitDerSequence(new Uint8Array())).toEqual([]);
    expect(() => splitDerSequence(hex('30 00 05 00'))).toThrow(malformed('sequence 2'));
    expect(() => splitDerSequence(hex('3000 3000 3000'), 2)).toThrow(malformed('more than 2'));
  });
});
