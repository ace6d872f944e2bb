import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readItem } from '../../src/node/sealed-facts.ts';
import { decodeIdentity, decodePosition, decodeSvid } from '../../src/node/sealed-records.ts';
import { openValue, sealValue } from '../../src/node/sealed-value.ts';
import { TrustDomain, TrustplaneError } from '../../src/spiffe/index.ts';

const seal = { key: randomBytes(32), random: randomBytes };
const trustDomain = TrustDomain.parse('a.test');
const bytes = fc.uint8Array({ maxLength: 200 });
const json = fc.json().map((text) => Uint8Array.from(Buffer.from(text)));

function codeOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

describe('a sealed value', () => {
  it('opens under its name, and no other name, key or byte', () => {
    fc.assert(
      fc.property(
        bytes,
        fc.string(),
        fc.string(),
        fc.nat(),
        fc.nat(7),
        (value, name, other, at, bit) => {
          const sealed = sealValue(seal, name, value);
          expect(Uint8Array.from(openValue(seal, name, sealed))).toEqual(value);
          const changed = Uint8Array.from(sealed);
          const index = at % sealed.length;
          changed[index] = (changed[index] ?? 0) ^ (1 << bit);
          const opens = [
            () => openValue(seal, name, changed),
            () => openValue(seal, `${other}!${name}`, sealed),
            () => openValue({ key: randomBytes(32) }, name, sealed),
            () => openValue(seal, name, sealed.subarray(0, index)),
          ];
          for (const open of opens) expect(codeOf(open)).toBe('ERR_CACHE_VALUE');
        },
      ),
    );
  });
});

describe('what a sealed value holds', () => {
  it('is read into a value or refused with a code', () => {
    fc.assert(
      fc.property(fc.oneof(bytes, json), fc.string(), (value, key) => {
        const reads = [
          () => decodeIdentity(value, trustDomain),
          () => decodeSvid(value, key),
          () => decodePosition(value),
          () => readItem(key, value, trustDomain),
          ...['e:', 'b:', 'r:', 't:'].map((kind) => () => readItem(kind + key, value, trustDomain)),
        ];
        for (const read of reads) expect([undefined, 'ERR_CACHE_VALUE']).toContain(codeOf(read));
      }),
    );
  });
});
