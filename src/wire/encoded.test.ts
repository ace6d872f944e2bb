import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeField, encodeMessage, toBuffer } from './encoded.ts';
import { messageType } from './protos.ts';

const any = messageType('envoy/service/discovery/v3/discovery.proto', 'google.protobuf.Any');
const response = messageType(
  'envoy/service/discovery/v3/discovery.proto',
  'envoy.service.discovery.v3.DiscoveryResponse',
);

describe('a message in parts', () => {
  it('has the bytes that it has when it is encoded whole', () => {
    const texts = fc.array(fc.string({ unit: 'binary', maxLength: 400 }), { maxLength: 3 });
    fc.assert(
      fc.property(fc.string(), texts, (version_info, urls) => {
        const resources = urls.map((type_url) => ({ type_url }));
        const parts = resources.map((each) =>
          encodeField(response, 'resources', encodeMessage(any, each)),
        );
        const inParts = toBuffer(encodeMessage(response, { version_info }, ...parts));
        const whole = response.encode({ version_info, resources }).finish();
        expect(inParts.equals(whole)).toBe(true);
      }),
    );
  });

  it.each([0, 127, 128, 16_383, 16_384, 3_000_000])('may hold %d bytes', (length) => {
    const value = Buffer.alloc(length, 1);
    const field = encodeField(any, 'value', { parts: [value], bytes: length });
    const read = any.decode(toBuffer(encodeMessage(any, { type_url: 'x' }, field)));
    expect(any.toObject(read)).toMatchObject({ type_url: 'x' });
    expect('value' in read && read.value instanceof Uint8Array && read.value.length).toBe(length);
  });

  it('has no field that its type lacks', () => {
    expect(() => encodeField(any, 'other', { parts: [], bytes: 0 })).toThrow(
      expect.objectContaining({ code: 'ERR_INTERNAL' }),
    );
  });
});
