import { describe, expect, it } from 'vitest';
import { DerReader, derContent, derTags, splitDerSequence } from './der-reader.ts';
import {
  derBoolean,
  derIntegerBytes,
  derNamedBits,
  derOid,
  derSmallInteger,
  derTime,
} from './der-values.ts';

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

describe('DER values', () => {
  it.each([
    ['06 03 551d11', '2.5.29.17'],
    ['06 01 00', '0.0'],
    ['06 01 7f', '2.47'],
    ['06 09 2a864886f70d010101', '1.2.840.113549.1.1.1'],
    [`06 14 6983${'ff'.repeat(17)}7f`, `2.25.${2n ** 128n - 1n}`],
    ['06 02 8837', '2.999'],
  ])('reads the OID %s as %s', (bytes, oid) => {
    expect(derOid(element(bytes), 'oid')).toBe(oid);
  });

  it.each(['06 00', '06 02 8001', '06 02 5580', `06 8181 ${'01'.repeat(129)}`])(
    'refuses the OID %s',
    (bytes) => expect(() => derOid(element(bytes), 'oid')).toThrow(malformed('OBJECT IDENTIFIER')),
  );

  it('reads only minimal integers', () => {
    expect(derIntegerBytes(element('02 02 0080'), 'n')).toEqual(hex('0080'));
    expect(derSmallInteger(element('02 04 7fffffff'), 'n')).toBe(2147483647);
    for (const bytes of ['02 00', '02 02 007f', '02 02 ff80']) {
      expect(() => derIntegerBytes(element(bytes), 'n')).toThrow(malformed('n at byte 0'));
    }
    for (const bytes of ['02 01 ff', '02 05 0080000000', '02 05 0100000000']) {
      expect(() => derSmallInteger(element(bytes), 'n')).toThrow(malformed('is not between 0'));
    }
  });

  it('reads only the booleans 0x00 and 0xff', () => {
    expect(derBoolean(element('01 01 00'), 'b')).toBe(false);
    for (const bytes of ['01 00', '01 01 01', '01 02 ffff']) {
      expect(() => derBoolean(element(bytes), 'b')).toThrow(malformed('is not a BOOLEAN'));
    }
  });

  it('reads named bits without trailing zeros', () => {
    expect([...derNamedBits(element('03 02 05a0'), 'bits')]).toEqual([0, 2]);
    expect([...derNamedBits(element('03 01 00'), 'bits')]).toEqual([]);
    for (const bytes of ['03 00', '03 02 08a0', '03 01 01', '03 02 05a1', '03 02 00a0']) {
      expect(() => derNamedBits(element(bytes), 'bits')).toThrow(malformed('bits at byte 0'));
    }
  });

  const time = (text: string) => {
    const tag = /^\d{14}/.test(text) ? derTags.generalizedTime : derTags.utcTime;
    const bytes = Buffer.from(text);
    return DerReader.of(Buffer.concat([Buffer.from([tag, bytes.length]), bytes])).read('time');
  };

  it.each([
    ['491231235959Z', '2049-12-31T23:59:59.000Z'],
    ['500101000000Z', '1950-01-01T00:00:00.000Z'],
    ['20480229000000Z', '2048-02-29T00:00:00.000Z'],
    ['99991231235959Z', '9999-12-31T23:59:59.000Z'],
    ['00000101000000Z', '0000-01-01T00:00:00.000Z'],
  ])('reads the time %s as %s', (text, iso) => {
    expect(new Date(derTime(time(text), 'time')).toISOString()).toBe(iso);
  });

  it.each([
    '20500229000000Z',
    '261301000000Z',
    '260100000000Z',
    '260101240000Z',
    '260101000060Z',
    '2601010000Z',
    '260101000000+0000',
    '20260101000000.5Z',
    '26010100000\u0661Z',
  ])('refuses the time %s', (text) => {
    expect(() => derTime(time(text), 'time')).toThrow(malformed('time at byte 0'));
  });
});
