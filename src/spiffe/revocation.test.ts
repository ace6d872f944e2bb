import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSerialNumbers } from '../ca/serial-number.ts';
import {
  buildRevocationIndex,
  findRevocation,
  isRevoked,
  issueInstant,
  noRevocations,
  type Revocation,
  revocationKinds,
} from './revocation.ts';
import { SpiffeId } from './spiffe-id.ts';

const NOW = Date.parse('2026-05-01T12:00:00.123Z');
const HOUR_MS = 3_600_000;
const WEB = SpiffeId.parse('spiffe://a.test/web');
const AGENT = SpiffeId.parse('spiffe://a.test/spire/agent/x509pop/host');

function revocation(fields: Partial<Revocation>): Revocation {
  return {
    id: 'r1',
    kind: 'spiffe-id',
    value: WEB.toString(),
    issuedBefore: NOW,
    expiresAt: NOW + HOUR_MS,
    reason: 'for a test',
    ...fields,
  };
}

describe('the instant of issuance', () => {
  const validity = { notBefore: NOW - 30_123, notAfter: NOW + HOUR_MS };

  it('is read from our serial numbers, in hex with and without leading zeros', () => {
    const serial = createSerialNumbers((count) => new Uint8Array(count).fill(0xff))(NOW);
    const hex = Buffer.from(serial).toString('hex');
    expect(hex).toMatch(/^0/);
    for (const serialNumber of [hex, hex.slice(1), hex.toUpperCase()]) {
      expect(issueInstant({ serialNumber, ...validity })).toBe(NOW);
    }
  });

  it('is that of any serial number of ours, whatever its random bits', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2 ** 40, max: 2 ** 43 }),
        fc.uint8Array({ minLength: 10, maxLength: 10 }),
        (now, random) => {
          const make = createSerialNumbers((count) => Buffer.concat([random, Buffer.alloc(count)]));
          const serialNumber = Buffer.from(make(now)).toString('hex').replace(/^0+/u, '');
          const certificate = { serialNumber, notBefore: now - 30_000, notAfter: now + 1 };
          expect(issueInstant(certificate)).toBe(now);
        },
      ),
    );
  });

  it.each([
    ['a random one of 128 bits, as SPIRE makes them', 'f3a1b2c3d4e5f60718293a4b5c6d7e8f'],
    ['one of 160 bits that begins with the instant', `${NOW.toString(16)}${'7'.repeat(29)}`],
    ['a counter', '2a'],
    ['zero', '00'],
    ['no number at all', 'zz'],
    ['an instant before the validity', `${(NOW - HOUR_MS).toString(16)}${'7'.repeat(20)}`],
    ['an instant after it', `${(NOW + 2 * HOUR_MS).toString(16)}${'7'.repeat(20)}`],
  ])('is notBefore, the safe side, for %s', (_, serialNumber) => {
    expect(issueInstant({ serialNumber, ...validity })).toBe(validity.notBefore);
  });
});

describe('a revocation', () => {
  const subject = {
    spiffeId: WEB,
    issuedAt: NOW - 1,
    serialNumber: '0ab1',
    entryId: 'e1',
    agentId: AGENT,
  };
  const values = {
    'spiffe-id': WEB.toString(),
    entry: 'e1',
    serial: 'AB1',
    agent: AGENT.toString(),
  };

  it.each(revocationKinds)('by %s refuses what was issued before its instant only', (kind) => {
    const index = buildRevocationIndex([revocation({ kind, value: values[kind] })]);
    expect(isRevoked(index, subject)).toBe(true);
    expect(isRevoked(index, { ...subject, issuedAt: NOW })).toBe(false);
    expect(isRevoked(noRevocations, subject)).toBe(false);
  });

  it.each(revocationKinds)('by %s means no other subject and no other kind', (kind) => {
    const index = buildRevocationIndex([
      revocation({ kind, value: 'other' }),
      ...revocationKinds.map((each) => revocation({ kind: each, value: values[kind] })),
    ]);
    const others = { spiffeId: SpiffeId.parse('spiffe://a.test/db'), issuedAt: 0 };
    expect(isRevoked(index, others)).toBe(false);
    expect(findRevocation(index, subject)?.kind).toBe(kind);
  });

  it('with the latest instant counts, in whatever order they come', () => {
    const early = revocation({ id: 'early', issuedBefore: NOW - HOUR_MS });
    const late = revocation({ id: 'late' });
    for (const list of [
      [early, late],
      [late, early],
    ]) {
      expect(findRevocation(buildRevocationIndex(list), subject)?.id).toBe('late');
    }
  });
});
