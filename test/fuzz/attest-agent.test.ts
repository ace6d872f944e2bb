import { status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { generateP256KeyPair } from '../../src/spiffe/index.ts';
import { csrWithoutId, openFleet } from '../fakes/open-fleet.ts';

const csr = csrWithoutId(generateP256KeyPair());
const bytes = fc.uint8Array({ maxLength: 200 });
const changed = fc
  .tuple(fc.nat(csr.length - 1), fc.integer({ min: 1, max: 255 }))
  .map(([at, by]) => {
    const copy = Uint8Array.from(csr);
    copy[at] = (copy[at] ?? 0) ^ by;
    return copy;
  });
const step = fc.oneof(
  fc.record(
    {
      params: fc.record(
        {
          data: fc.record(
            { type: fc.constantFrom('join_token', 'x509pop', '', '\0'), payload: bytes },
            { requiredKeys: [] },
          ),
          params: fc.record(
            { csr: fc.oneof(bytes, changed, fc.constant(csr)) },
            { requiredKeys: [] },
          ),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: [] },
  ),
  fc.record({ challenge_response: bytes }),
);
const refusals = [status.INVALID_ARGUMENT, status.PERMISSION_DENIED];

describe('AttestAgent', () => {
  it('refuses whatever comes without evidence, and goes on', async () => {
    const { dial, agents, tokens } = await openFleet();
    const client = dial();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 3 }), async (steps) => {
        const stream = client.stream('Agent.AttestAgent');
        for (const message of steps) stream.send(message);
        stream.end();
        const failure = await stream.read().catch((error: unknown) => error);
        expect(refusals).toContain(Reflect.get(Object(failure), 'code'));
      }),
      { numRuns: 200 },
    );
    expect(agents.count()).toBe(0);
    const { token } = await tokens.create({ ttlSeconds: 60 });
    await expect(client.attest('join_token', Buffer.from(token))).resolves.toBeDefined();
  });
});
