import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseAwsXml, textAt } from '../../src/attest/node/aws/aws-xml.ts';
import { parseIidPayload } from '../../src/attest/node/aws/iid-payload.ts';
import { berToDer } from '../../src/attest/node/cloud/ber-to-der.ts';
import { parseKeys } from '../../src/attest/node/cloud/key-source.ts';
import { isSignedByOne, parseSignedData } from '../../src/attest/node/cloud/signed-data.ts';
import { parseSignedToken } from '../../src/attest/node/cloud/signed-token.ts';
import {
  DerReader,
  messageOf,
  sameBytes,
  TrustplaneError,
  writeDer,
} from '../../src/spiffe/index.ts';
import { makeSignedMessage } from '../fakes/signed-message.ts';
import { makeToken } from '../fakes/signed-token.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const publicKey = createPublicKey(privateKey);
const content = Buffer.from('{"accountId":"123456789012"}');
const message = makeSignedMessage(content, privateKey);

/** A tree of elements in DER, and the same as a streaming writer may write it. */
interface Written {
  readonly der: Uint8Array;
  readonly ber: Uint8Array;
}

const written = fc.letrec<{ element: Written; leaf: Written; string: Written; node: Written }>(
  (tie) => ({
    element: fc.oneof({ maxDepth: 4 }, tie('leaf'), tie('string'), tie('node')),
    leaf: fc
      .tuple(fc.constantFrom(0x02, 0x06, 0x13), fc.uint8Array({ maxLength: 200 }))
      .map(([tag, bytes]) => {
        const der = writeDer(tag, bytes);
        return { der, ber: der };
      }),
    // An octet string in pieces.
    string: fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }).map((pieces) => ({
      der: writeDer(0x04, ...pieces),
      ber: Buffer.concat([
        Buffer.of(0x24, 0x80),
        ...pieces.map((piece) => writeDer(0x04, piece)),
        Buffer.of(0, 0),
      ]),
    })),
    node: fc
      .tuple(
        fc.constantFrom(0x30, 0x31, 0xa0),
        fc.boolean(),
        fc.array(tie('element'), { maxLength: 4 }),
      )
      .map(([tag, isOpen, parts]) => {
        const bers = parts.map(({ ber }) => ber);
        return {
          der: writeDer(tag, ...parts.map(({ der }) => der)),
          ber: isOpen
            ? Buffer.concat([Buffer.of(tag, 0x80), ...bers, Buffer.of(0, 0)])
            : writeDer(tag, ...bers),
        };
      }),
  }),
);

/** What `parse` returns, or the code it refuses with; anything else is a defect. */
function codeOf(parse: () => unknown): string {
  try {
    parse();
    return 'parsed';
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

/** `parsed`, or the message of what was thrown. */
function outcomeOf(parse: () => unknown): string {
  try {
    parse();
    return 'parsed';
  } catch (error) {
    return messageOf(error);
  }
}

describe('messages that AWS signs', () => {
  it('are the same in DER whoever wrote them', () => {
    fc.assert(
      fc.property(written.element, ({ der, ber }) => {
        expect(Buffer.from(berToDer(ber))).toEqual(Buffer.from(der));
        expect(Buffer.from(berToDer(der))).toEqual(Buffer.from(der));
      }),
    );
  });

  it('of any bytes are refused, and read in time', () => {
    const codes = ['ERR_DER', 'ERR_NODE_ATTEST_SIGNATURE', 'parsed'];
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 512 }), (bytes) => {
        expect(codes).toContain(codeOf(() => parseSignedData(bytes)));
        expect(['ERR_DER', 'parsed']).toContain(
          codeOf(() => DerReader.of(berToDer(bytes)).read('x')),
        );
      }),
    );
    const deep = Buffer.alloc(60_000, Buffer.of(0x30, 0x80));
    expect(codeOf(() => berToDer(deep))).toBe('ERR_DER');
    expect(codeOf(() => berToDer(Buffer.alloc(65_537)))).toBe('ERR_DER');
  });

  it('with one byte changed verify only with the same content', () => {
    fc.assert(
      fc.property(fc.nat(message.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const changed = Buffer.from(message);
        changed[at] = (changed[at] ?? 0) ^ flip;
        const accepted: Uint8Array[] = [];
        codeOf(() => {
          const parsed = parseSignedData(changed);
          if (isSignedByOne(parsed, [publicKey])) accepted.push(parsed.content);
        });
        expect(accepted.every((each) => sameBytes(each, content))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});

it('reads payloads, tokens and key sets of any bytes, or refuses them with a code', () => {
  const algorithms = new Set(['RS256']);
  const token = makeToken(privateKey, 'k', { sub: 'x' });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(token.length - 1), (bytes, at) => {
      expect(codeOf(() => parseIidPayload(bytes))).toBe('ERR_NODE_ATTEST_PAYLOAD');
      const text = token.slice(0, at) + Buffer.from(bytes).toString('latin1') + token.slice(at + 1);
      expect(codeOf(() => parseSignedToken(text, algorithms))).toMatch(
        /^(?:ERR_NODE_ATTEST_|parsed)/u,
      );
      expect(() => parseKeys(bytes)).toThrow(/JSON|JWK/u);
    }),
  );
});

describe('XML of AWS', () => {
  it('is read as it was written', () => {
    const texts = fc
      .string({ unit: 'grapheme', maxLength: 50 })
      .filter((text) => !/[\p{Cc}\r]/u.test(text));
    fc.assert(
      fc.property(texts, (text) => {
        const written = text.replace(/[&<>]/gu, (found) => `&#${found.charCodeAt(0)};`);
        expect(textAt(parseAwsXml(`<a xmlns="urn:x"><b/><c>${written}</c></a>`), 'c')).toBe(text);
      }),
    );
  });

  it('of any text is read or refused', () => {
    const pieces = fc.constantFrom(
      '<a>',
      '</a>',
      '<b/>',
      '<a x="y">',
      '&amp;',
      '&x;',
      '<!',
      '<?',
      'text',
      '"',
      '>',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), (parts) => {
        expect(outcomeOf(() => parseAwsXml(parts.join('')))).toMatch(/^(?:parsed|malformed XML)/u);
      }),
    );
  });

  it.each([
    '<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    '<a><![CDATA[x]]></a>',
    '<a><!-- x --></a>',
    '<a>&unknown;</a>',
    '<a></b>',
    '<a>',
    '<a/><a/>',
    'x<a/>',
    '<a>'.repeat(40) + '</a>'.repeat(40),
  ])('refuses %s', (text) => {
    expect(() => parseAwsXml(text)).toThrow('malformed XML');
  });
});
