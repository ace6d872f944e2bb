import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { modeOf } from '../../src/sds/node-mode.ts';
import { printable, TrustplaneError } from '../../src/spiffe/index.ts';
import { loadDiscoveryMessages } from '../../src/xds/discovery-messages.ts';
import { parseDeltaRequest, parseSotwRequest, xdsLimits } from '../../src/xds/discovery-request.ts';

const messages = loadDiscoveryMessages();
const parsers = {
  sotw: (bytes: Uint8Array) => modeOf(parseSotwRequest(messages.sotwRequest, bytes, 'SDS').node),
  delta: (bytes: Uint8Array) => modeOf(parseDeltaRequest(messages.deltaRequest, bytes, 'SDS').node),
};

/** The code of the error `parse` throws; anything but a code of ours escapes. */
function codeOf(parse: () => unknown): string {
  try {
    parse();
    return 'parsed';
  } catch (error) {
    if (error instanceof TrustplaneError) return error.code;
    throw error;
  }
}

const text = fc.string({ unit: 'binary', maxLength: 40 });
const value = fc.oneof(
  fc.record({ boolValue: fc.boolean() }),
  fc.record({ stringValue: text }),
  fc.record({ numberValue: fc.double() }),
  fc.constant({}),
);
const request = fc.record(
  {
    resource_names: fc.array(text, { maxLength: 5 }),
    resource_names_subscribe: fc.array(text, { maxLength: 5 }),
    resource_names_unsubscribe: fc.array(text, { maxLength: 5 }),
    initial_resource_versions: fc.dictionary(text, text, { maxKeys: 3 }),
    type_url: fc.oneof(text, fc.constant('')),
    response_nonce: text,
    error_detail: fc.record({ code: fc.nat(20), message: text }),
    node: fc.record({
      id: text,
      metadata: fc.record({
        fields: fc.dictionary(fc.oneof(text, fc.constant('disable_spiffe_cert_validation')), value),
      }),
    }),
  },
  { requiredKeys: [] },
);

describe.each(['sotw', 'delta'] as const)('%s requests', (kind) => {
  const type = messages[`${kind}Request`];

  it('are parsed or refused with a code of ours, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(codeOf(() => parsers[kind](bytes))).toMatch(/^(?:parsed|ERR_SDS_[A-Z_]+)$/u);
      }),
      { numRuns: 3000 },
    );
  });

  it('are parsed or refused with a code of ours, however a good one is damaged', () => {
    fc.assert(
      fc.property(request, fc.nat(), fc.nat(255), (good, at, byte) => {
        const bytes = Buffer.from(type.encode(type.fromObject(good)).finish());
        if (bytes.length > 0) bytes[at % bytes.length] = byte;
        expect(codeOf(() => parsers[kind](bytes))).toMatch(/^(?:parsed|ERR_SDS_[A-Z_]+)$/u);
      }),
      { numRuns: 3000 },
    );
  });

  it('cannot nest deep enough to exhaust the stack', () => {
    // A google.protobuf.Value that is a list of one Value, and so on: tag 6, then tag 1.
    let nested = Buffer.alloc(0);
    for (let depth = 0; depth < 2000; depth++) {
      const list = Buffer.concat([Buffer.from([0x0a]), varint(nested.length), nested]);
      nested = Buffer.concat([Buffer.from([0x32]), varint(list.length), list]);
    }
    const field = (tag: number, body: Buffer) =>
      Buffer.concat([Buffer.from([tag]), varint(body.length), body]);
    const entry = Buffer.concat([field(0x0a, Buffer.from('x')), field(0x12, nested)]);
    const node = field(0x1a, field(0x0a, entry));
    const bytes = field(kind === 'sotw' ? 0x12 : 0x0a, node);
    expect(codeOf(() => parsers[kind](bytes))).toBe('ERR_SDS_REQUEST');
  });
});

describe('text of clients in logs', () => {
  it('is bounded and has no control characters', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 2000 }), fc.nat(500), (raw, max) => {
        const shown = printable(raw, max);
        expect(shown).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        expect(shown.length).toBeLessThanOrEqual(9 * (max + 1));
      }),
    );
    expect(printable('plain text, ünïcode', xdsLimits.maxNameBytes)).toBe('plain text, ünïcode');
  });
});

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 0x80) return Buffer.from([...bytes, rest]);
    bytes.push((rest & 0x7f) | 0x80);
  }
}
