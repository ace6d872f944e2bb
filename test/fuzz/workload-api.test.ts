import { status } from '@grpc/grpc-js';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseEndpointAddress } from '../../src/client/endpoint-address.ts';
import { parseX509Context, type X509SvidResponse } from '../../src/client/x509-context.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';
import { loadService, messageType, type PeerProcess } from '../../src/wire/index.ts';
import { fakeEntry } from '../fakes/fake-entitlements.ts';
import { FakeWorkloadSource } from '../fakes/fake-workload-source.ts';
import { createSvidPlane, fakeProcess } from '../fakes/svid-plane.ts';
import { textIdentity, textUpdate } from '../fakes/test-updates.ts';
import { callUnary, fetchStream, serveWorkloadApi } from '../fakes/workload-endpoint.ts';

/** What it returns, or the code of the error that it throws. */
function outcomeOf<T>(run: () => T): T | string {
  try {
    return run();
  } catch (error) {
    return error instanceof TrustplaneError ? error.code : String(error);
  }
}

const nearAddress = fc
  .array(
    fc.oneof(
      fc.constantFrom('unix:', 'tcp:', '//', '/', '127.0.0.1', '[::1]', ':', '80', '?', '#', '%2f'),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''));

describe('parseEndpointAddress', () => {
  it('gives an absolute path or an IP address and port, or its own error (WLEP-6)', () => {
    fc.assert(
      fc.property(fc.oneof(nearAddress, fc.string({ unit: 'binary' })), (text) => {
        expect(outcomeOf(() => parseEndpointAddress(text))).toSatisfy(
          (outcome: ReturnType<typeof parseEndpointAddress> | string) =>
            typeof outcome === 'string'
              ? outcome === 'ERR_ENDPOINT_ADDRESS'
              : outcome.kind === 'tcp' || /^\/[^\0]/su.test(outcome.path),
        );
      }),
      { numRuns: 2_000 },
    );
  });

  it('takes every absolute path once it is escaped', () => {
    const path = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(path, (name) => {
        fc.pre(!name.includes('\0'));
        const address = parseEndpointAddress(`unix:///${encodeURIComponent(name)}`);
        expect(address).toEqual({ kind: 'unix', path: `/${name}` });
      }),
    );
  });
});

describe('parseX509Context', () => {
  const flips = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });

  it('refuses damaged responses with its own error, never with another', async () => {
    const plane = createSvidPlane();
    plane.entries.put(fakeEntry('web'));
    const { last } = await plane.attach(fakeProcess());
    const [identity] = last?.identities ?? [];
    if (last === undefined || identity === undefined) throw new Error('no identity');
    const type = messageType('workload.proto', 'X509SVIDResponse');
    const whole = type
      .encode({
        svids: [
          {
            spiffe_id: identity.spiffeId.toString(),
            x509_svid: Buffer.concat(identity.certificateChain),
            x509_svid_key: identity.privateKey,
            bundle: Buffer.concat(last.bundle.x509Authorities.map((each) => each.certificate)),
          },
        ],
      })
      .finish();
    const decode = loadService('workload.proto', 'SpiffeWorkloadAPI')['FetchX509SVID'];
    const read = (bytes: Uint8Array): X509SvidResponse | undefined => {
      try {
        return decode?.responseDeserialize(Buffer.from(bytes));
      } catch {
        return undefined;
      }
    };
    expect(parseX509Context(read(whole) ?? {}, plane.clock.now()).svids).toHaveLength(1);
    fc.assert(
      fc.property(flips, (flips) => {
        const damaged = Uint8Array.from(whole);
        for (const [at, value] of flips) damaged[at % damaged.length] = value;
        const response = read(damaged);
        fc.pre(response !== undefined);
        const paths = () =>
          parseX509Context(response, plane.clock.now()).svids.map(({ svid }) => svid.spiffeId.path);
        expect(['ERR_CLIENT_RESPONSE', ['/web']]).toContainEqual(outcomeOf(paths));
      }),
      { numRuns: 1_000 },
    );
  });
});

/** Two texts, as both unary requests have them. */
const fields = fc
  .tuple(fc.string({ unit: 'binary', maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 60 }))
  .map((texts) =>
    Buffer.concat(
      texts.map((text, index) => {
        const bytes = Buffer.from(text);
        return Buffer.concat([Buffer.of((index + 1) * 8 + 2, bytes.length), bytes]);
      }),
    ),
  )
  .filter((bytes) => bytes.length < 120);

describe('requests of any bytes', () => {
  it('are served or refused as malformed, and leave nothing behind', async () => {
    const source = new FakeWorkloadSource<PeerProcess>(textUpdate([textIdentity('/web')]));
    const endpoint = await serveWorkloadApi(source);
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('FetchX509SVID', 'FetchX509Bundles', 'FetchJWTBundles', 'FetchWITSVID'),
          fc.uint8Array({ maxLength: 40 }),
          async (method, bytes) => {
            const fetching = fetchStream(endpoint.client, method, undefined, Buffer.from(bytes));
            const outcome = await fetching.next();
            fetching.stream.cancel();
            if (!('code' in outcome)) return;
            expect([status.INVALID_ARGUMENT, status.UNIMPLEMENTED]).toContain(outcome.code);
          },
        ),
        { numRuns: 200 },
      );
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom('FetchJWTSVID', 'ValidateJWTSVID'),
          fc.oneof(fc.uint8Array({ maxLength: 40 }), fields),
          async (method, bytes) => {
            const { code } = await callUnary(endpoint.client, method, Buffer.from(bytes));
            expect([status.INVALID_ARGUMENT, status.PERMISSION_DENIED]).toContain(code);
          },
        ),
        { numRuns: 300 },
      );
      const malformed = fetchStream(endpoint.client, 'FetchX509SVID', undefined, Buffer.of(0x0f));
      expect(await malformed.next()).toMatchObject({ code: status.INVALID_ARGUMENT });
      await expect.poll(() => source.attached).toBe(0);
    } finally {
      await endpoint.close();
    }
  });
});
