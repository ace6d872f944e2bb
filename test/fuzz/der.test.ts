import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Bundle } from '../../src/spiffe/bundle.ts';
import { parseCertificate } from '../../src/spiffe/certificate.ts';
import {
  type DerElement,
  DerReader,
  derContent,
  splitDerSequence,
} from '../../src/spiffe/der-reader.ts';
import { decodePem, encodePem } from '../../src/spiffe/pem.ts';
import { verifyX509Svid } from '../../src/spiffe/x509-path.ts';
import { parseX509Svid } from '../../src/spiffe/x509-svid.ts';
import {
  bundleOf,
  makeAuthority,
  makeCertificate,
  type TestCertificate,
  testNow,
} from '../fakes/test-certificates.ts';
import { attempt } from './attempt.ts';

/** A tree of elements: content, or children. */
type Tree = { readonly tag: number; readonly content: Uint8Array | readonly Tree[] };

function encode({ tag, content }: Tree): Buffer {
  const bytes =
    content instanceof Uint8Array ? Buffer.from(content) : Buffer.concat(content.map(encode));
  const length: number[] = [];
  for (let rest = bytes.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  const head = bytes.length < 0x80 ? [bytes.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from([tag, ...head]), bytes]);
}

function decode(reader: DerReader): Tree[] {
  const trees: Tree[] = [];
  while (!reader.atEnd) {
    const element = reader.read('element');
    const isConstructed = (element.tag & 0x20) !== 0;
    trees.push({
      tag: element.tag,
      content: isConstructed ? decode(DerReader.inside(element, 'element')) : copyOf(element),
    });
  }
  return trees;
}

const copyOf = (element: DerElement) => Uint8Array.from(derContent(element));

const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 6 },
    fc.record({
      tag: fc.constantFrom(0x01, 0x02, 0x03, 0x04, 0x06, 0x0c, 0x80, 0x87, 0xc5),
      content: fc.oneof(fc.uint8Array({ maxLength: 20 }), fc.uint8Array({ maxLength: 400 })),
    }),
    fc.record({
      tag: fc.constantFrom(0x30, 0x31, 0xa0, 0xa3),
      content: fc.array(tie('tree'), { maxLength: 4 }),
    }),
  ),
}));

let root: TestCertificate;
let leaf: TestCertificate;
let bundle: Bundle;

beforeAll(async () => {
  root = await makeAuthority();
  leaf = await makeCertificate({ issuer: root, subject: '', dns: ['web'] });
  bundle = bundleOf('a.test', root);
});

/** Some octets of a certificate replaced, inserted or removed. */
const damage = fc.array(
  fc.record({
    at: fc.nat(),
    octets: fc.uint8Array({ maxLength: 3 }),
    removed: fc.integer({ min: 0, max: 2 }),
  }),
  { minLength: 1, maxLength: 3 },
);
type Damage = { readonly at: number; readonly octets: Uint8Array; readonly removed: number };
function apply(der: Uint8Array, changes: readonly Damage[]): Uint8Array {
  return changes.reduce<Uint8Array>((bytes, { at, octets, removed }) => {
    const offset = at % bytes.length;
    const rest = bytes.subarray(offset + removed);
    return Buffer.concat([bytes.subarray(0, offset), octets, rest]);
  }, der);
}

describe('DerReader under arbitrary bytes', () => {
  it('reads back every tree', () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 3 }), (trees) => {
        expect(decode(DerReader.of(Buffer.concat(trees.map(encode))))).toEqual(trees);
      }),
    );
  });

  it('accepts only what encodes to the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const trees = attempt(() => decode(DerReader.of(bytes)));
        const again = trees === undefined ? bytes : Buffer.concat(trees.map(encode));
        expect(Buffer.from(again)).toEqual(Buffer.from(bytes));
        attempt(() => splitDerSequence(bytes));
      }),
      { numRuns: 5000 },
    );
  });
});

describe('parseCertificate under arbitrary bytes', () => {
  it('refuses arbitrary and damaged bytes only in the way it may', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), damage), (input) => {
        const bytes = input instanceof Uint8Array ? input : apply(leaf.der, input);
        expect(attempt(() => parseCertificate(bytes))?.der ?? bytes).toBe(bytes);
      }),
      { numRuns: 5000 },
    );
  });

  it('never lets a certificate that was changed in any octet through path validation', () => {
    const verify = (der: Uint8Array) =>
      attempt(() => {
        verifyX509Svid(parseX509Svid([der]), bundle, testNow);
        return 'verified';
      });
    expect(verify(leaf.der)).toBe('verified');
    fc.assert(
      fc.property(damage, (changes) => {
        const der = apply(leaf.der, changes);
        const isSame = Buffer.compare(der, leaf.der) === 0;
        expect(verify(der)).toBe(isSame ? 'verified' : undefined);
      }),
      { numRuns: 5000 },
    );
  });
});

describe('PEM under arbitrary text', () => {
  it('reads back what it writes', () => {
    const blocks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 4 });
    fc.assert(
      fc.property(blocks, (blocks) => {
        const text = blocks.map((block) => encodePem('CERTIFICATE', block)).join('\n');
        expect(decodePem('CERTIFICATE', text).map((block) => new Uint8Array(block))).toEqual(
          blocks,
        );
      }),
    );
  });

  it('finds whole blocks in arbitrary lines, or refuses them in the way it may', () => {
    const labels = ['CERTIFICATE', 'PRIVATE KEY'];
    const marks = labels.flatMap((label) => [`-----BEGIN ${label}-----`, `-----END ${label}-----`]);
    const line = fc.constantFrom(...marks, 'AAAA', 'A=', '', ' ', '\r');
    const text = fc.oneof(
      fc.array(line).map((lines) => lines.join('\n')),
      fc.string(),
    );
    fc.assert(
      fc.property(text, (text) => {
        const blocks = attempt(() => decodePem('CERTIFICATE', text)) ?? [];
        expect(blocks.length).toBeLessThanOrEqual(text.split('BEGIN CERTIFICATE').length - 1);
      }),
      { numRuns: 2000 },
    );
  });
});
