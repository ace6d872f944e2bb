import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createLog } from '../../src/ops/index.ts';

const SECRET = 'c2VjcmV0LXNlY3JldA';
/** What other programs put around a secret. */
const quoted = fc.constantFrom(
  `-----BEGIN PRIVATE KEY-----\n${SECRET}\n-----END PRIVATE KEY-----`,
  `-----BEGIN EC PRIVATE KEY-----\n${SECRET}`,
  `eyJhbGciOiJFUzI1NiJ9.${SECRET}.${SECRET}`,
  `Bearer ${SECRET}==`,
  `Authorization: Bearer ${SECRET}`,
  `{"authorization": "Basic ${SECRET}"}`,
  `authorization=${SECRET}`,
);
const noise = fc.string({ unit: 'binary', maxLength: 20 });
const text = fc
  .tuple(noise, quoted, noise)
  .map(([before, secret, after]) => `${before} ${secret} ${after}`);
const value = fc.oneof(text, fc.double(), fc.boolean(), fc.constant(null));
const fields = fc.dictionary(
  fc.oneof(fc.constantFrom('authorization', 'error', 'token', 'Bearer'), noise),
  fc.oneof(value, fc.array(value, { maxLength: 3 }), fc.dictionary(noise, value, { maxKeys: 3 })),
  { maxKeys: 4 },
);

function logged(given: object, message: string): string {
  const lines: string[] = [];
  const log = createLog({
    level: 'info',
    destination: { write: (line) => void lines.push(line) },
  });
  log.info(given, message);
  return lines.join('');
}

describe('a line of the log', () => {
  it('shows no secret, and stays JSON, whatever is around it', () => {
    fc.assert(
      fc.property(fields, text, (given, message) => {
        const line = logged(given, message);
        expect(line).not.toContain(SECRET);
        expect(() => JSON.parse(line)).not.toThrow();
        expect(line.indexOf('\n')).toBe(line.length - 1);
      }),
      { numRuns: 2_000 },
    );
  });

  it('that has no secret is as it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (said) => {
        fc.pre(!/eyJ|bearer|authorization|PRIVATE KEY/iu.test(said));
        expect(JSON.parse(logged({ said }, 'm'))).toMatchObject({ said });
      }),
    );
  });
});
