import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseXfcc } from '../../src/check/xfcc.ts';
import { attempt } from './attempt.ts';

const noise = fc.string({
  unit: fc.constantFrom(...'URI=By=Cert="\\,;= aé\0\n'.split(''), 'URI=', '"', ',', ';', '\\"'),
  maxLength: 60,
});

/** As Envoy writes: URIs without quotes, subjects in quotes, with what RFC 2253 escapes. */
const uri = fc.constantFrom('spiffe://a.test/web', 'spiffe://a.test/gw', 'https://x/?a=b');
const subject = fc
  .array(fc.constantFrom('CN=x', 'O=a\\,b', 'O=\\"q\\"', 'L=\\\\', 'X=;,='), { maxLength: 3 })
  .map((parts) => parts.join(','));
const element = fc
  .record({ uris: fc.array(uri, { maxLength: 3 }), subject, cert: fc.boolean() })
  .map(({ uris, subject: name, cert }) => ({
    uris,
    certificate: cert ? '-----BEGIN%20CERTIFICATE-----' : undefined,
    text: [
      'By=spiffe://a.test/gw',
      'Hash=00ff',
      ...(cert ? ['Cert="-----BEGIN%20CERTIFICATE-----"'] : []),
      `Subject="${name}"`,
      ...uris.map((one) => `URI=${one}`),
    ].join(';'),
  }));

describe('parseXfcc', () => {
  it('reads any text or refuses it with its own error, in bounds', () => {
    fc.assert(
      fc.property(noise, (text) => {
        const elements = attempt(() => parseXfcc(text));
        expect(elements?.length ?? 1).toBeLessThanOrEqual(32);
        for (const { uris, certificate } of elements ?? [])
          for (const value of [...uris, certificate ?? '']) expect(value).toMatch(/^[ -~]*$/u);
      }),
      { numRuns: 5_000 },
    );
  });

  it('reads what Envoy writes as what it says', () => {
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 8 }), (elements) => {
        expect(parseXfcc(elements.map(({ text }) => text).join(','))).toEqual(
          elements.map(({ uris, certificate }) => ({ uris, certificate })),
        );
      }),
    );
  });

  it('reads the last element as it was written, or nothing, whatever was forged before it', () => {
    let read = 0;
    fc.assert(
      fc.property(
        fc.oneof(
          noise,
          element.map(({ text }) => text),
        ),
        element,
        (forged, last) => {
          const elements = attempt(() => parseXfcc(`${forged},${last.text}`));
          if (elements === undefined) return;
          read++;
          expect(elements.at(-1)).toEqual({ uris: last.uris, certificate: last.certificate });
        },
      ),
      { numRuns: 5_000 },
    );
    expect(read).toBeGreaterThan(500);
  });
});
