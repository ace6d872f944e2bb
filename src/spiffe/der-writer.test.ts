import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DerReader, derContent, derTags } from './der-reader.ts';
import { derIntegerBytes, derNamedBits, derOid, derTime } from './der-values.ts';
import {
  writeDer,
  writeDirectoryString,
  writeNamedBits,
  writeOid,
  writeTime,
  writeUnsignedInteger,
} from './der-writer.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const read = (der: Uint8Array) => {
  const reader = DerReader.of(der);
  const element = reader.read('element');
  reader.finish('element');
  return element;
};

describe('writeDer', () => {
  it.each([
    [0, '0400'],
    [127, '047f'],
    [128, '048180'],
    [255, '0481ff'],
    [256, '04820100'],
    [65_535, '0482ffff'],
    [65_536, '0483010000'],
  ])('writes the shortest length for %d bytes', (length, head) => {
    const der = writeDer(derTags.octetString, new Uint8Array(length));
    expect(hex(der).slice(0, head.length)).toBe(head);
    expect(der).toHaveLength(head.length / 2 + length);
  });

  it('refuses over 16 MiB', () => {
    const half = new Uint8Array(2 ** 23);
    expect(() => writeDer(derTags.octetString, half, half)).toThrow(
      expect.objectContaining({ code: 'ERR_DER' }),
    );
  });

  it('joins its parts', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (parts) => {
        const element = read(writeDer(derTags.octetString, ...parts));
        expect(hex(derContent(element))).toBe(parts.map(hex).join(''));
      }),
    );
  });
});

describe('values', () => {
  it('writes positive integers that are read back', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 160n }), (value) => {
        const digits = value.toString(16);
        const magnitude = Buffer.from(
          digits.padStart(digits.length + (digits.length % 2), '0'),
          'hex',
        );
        const content = derIntegerBytes(read(writeUnsignedInteger(magnitude)), 'integer');
        expect(BigInt(`0x${hex(content)}`)).toBe(value);
        expect((content[0] ?? 0x80) < 0x80).toBe(true);
      }),
    );
  });

  it.each([[[]], [[0]], [[0, 0]]])('writes zero from %j', (magnitude) => {
    expect(hex(writeUnsignedInteger(Uint8Array.from(magnitude)))).toBe('020100');
  });

  it.each([
    '2.5.29.17',
    '1.2.840.113549.1.1.11',
    '1.3.132.0.34',
    '0.9.2342.19200300.100.1.25',
    '2.999',
  ])('writes the OID %s', (dotted) => {
    expect(derOid(read(writeOid(dotted)), 'OID')).toBe(dotted);
  });

  it('writes every instant from 1950 to 9999 to the second', () => {
    const instants = fc.integer({
      min: Date.parse('1950-01-01T00:00:00Z'),
      max: Date.parse('9999-12-31T23:59:59.999Z'),
    });
    fc.assert(
      fc.property(instants, (instant) => {
        expect(derTime(read(writeTime(instant)), 'time')).toBe(Math.floor(instant / 1000) * 1000);
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    ['2049-12-31T23:59:59.999Z', '170d3439313233313233353935395a'],
    ['2050-01-01T00:00:00Z', '180f32303530303130313030303030305a'],
    ['1950-01-01T00:00:00Z', '170d3530303130313030303030305a'],
  ])('writes %s as RFC 5280 wants it', (instant, der) => {
    expect(hex(writeTime(Date.parse(instant)))).toBe(der);
  });

  it.each([Date.parse('1949-12-31T23:59:59Z'), 253_402_300_800_000, Number.NaN])(
    'refuses the instant %d',
    (instant) => {
      expect(() => writeTime(instant)).toThrow(expect.objectContaining({ code: 'ERR_DER' }));
    },
  );

  it('writes named bits without trailing zeros', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(7), { minLength: 1 }), (bits) => {
        expect(derNamedBits(read(writeNamedBits(...bits)), 'bits')).toEqual(new Set(bits));
      }),
    );
  });

  it.each([
    ["Abc 09 '()+,-./:=?", derTags.printableString],
    ['*.a.test', derTags.utf8String],
    ['a_b', derTags.utf8String],
    ['ä', derTags.utf8String],
  ])('writes the text %j with the tag %d', (text, tag) => {
    const element = read(writeDirectoryString(text));
    expect(element.tag).toBe(tag);
    expect(Buffer.from(derContent(element)).toString()).toBe(text);
  });
});
