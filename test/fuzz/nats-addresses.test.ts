import fc from 'fast-check';
import { expect, it } from 'vitest';
import { formatNatsAddress, parseNatsAddress } from '../../src/nats/server-address.ts';
import { attempt } from './attempt.ts';

const part = fc.oneof(
  fc.constantFrom('nats://', 'tls://', 'TLS://', '[', ']', ':', '@', '/', '.', '::1', '127.0.0.1'),
  fc.constantFrom('a', 'b-c', '-', '_', '4222', '65536', '0', '%41', ' ', '\n', '\u0000', 'ä'),
  fc.string({ maxLength: 8 }),
);

it('takes an address that can be written again the same way, or throws a TrustplaneError', () => {
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      const text = parts.join('');
      const address = attempt(() => parseNatsAddress(text));
      if (address === undefined) return;
      const again = `${address.isTls ? 'tls' : 'nats'}://${formatNatsAddress(address)}`;
      expect(parseNatsAddress(again)).toEqual(address);
      expect(text).not.toContain('@');
    }),
    { numRuns: 3_000 },
  );
});

it('repeats nothing of a text that has a user or password', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z0-9]{12,40}$/u), (secret) => {
      const read = (): unknown => parseNatsAddress(`tls://me:${secret}@nats.test:4222`);
      expect(read).toThrow(
        expect.not.objectContaining({ message: expect.stringContaining(secret) }),
      );
    }),
  );
});
