import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildCsr,
  generateP256KeyPair,
  parseCsr,
  parsePublicKey,
  SpiffeId,
} from '../../src/spiffe/index.ts';
import { attempt } from './attempt.ts';

const spiffeId = SpiffeId.parse('spiffe://a.test/web');
const csr = buildCsr({ ...generateP256KeyPair(), spiffeId });

describe('parseCsr', () => {
  it('answers any bytes with a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(attempt(() => parseCsr(bytes))).toBeUndefined();
        expect(attempt(() => parsePublicKey(bytes))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses a good request with bytes replaced, cut out or put in', () => {
    const edits = fc.array(
      fc.record({
        at: fc.nat(csr.length - 1),
        remove: fc.nat(3),
        insert: fc.uint8Array({ maxLength: 3 }),
      }),
      { minLength: 1, maxLength: 3 },
    );
    fc.assert(
      fc.property(edits, (changes) => {
        const bytes = [...csr];
        for (const { at, remove, insert } of changes) bytes.splice(at, remove, ...insert);
        fc.pre(!Buffer.from(bytes).equals(csr));
        expect(attempt(() => parseCsr(Uint8Array.from(bytes)))).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
  });

  it('reads every SPIFFE ID it was asked to carry', () => {
    const pair = generateP256KeyPair();
    const paths = fc.stringMatching(/^(\/[a-zA-Z0-9_-]{1,50}){1,40}$/);
    fc.assert(
      fc.property(paths, (path) => {
        const id = SpiffeId.parse(`spiffe://a.test${path.slice(0, 2032).replace(/\/$/, 'x')}`);
        expect(parseCsr(buildCsr({ ...pair, spiffeId: id }))).toEqual({
          publicKey: pair.publicKey,
          uriSans: [id.toString()],
          dnsSans: [],
        });
      }),
      { numRuns: 200 },
    );
  });
});
