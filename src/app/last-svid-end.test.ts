import { describe, expect, it } from 'vitest';
import { testTrustDomain } from '../../test/fakes/test-entries.ts';
import { createThrowawayCa } from '../ca/index.ts';
import { emptyBundle, parseCertificate } from '../spiffe/index.ts';
import { lastSvidEnd } from './last-svid-end.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const DAY_MS = 86_400_000;

describe('the end of the last SVID', () => {
  const certificate = createThrowawayCa(NOW, (count) => new Uint8Array(count).fill(7));
  const { notAfter } = parseCertificate(certificate);
  const bundle = emptyBundle(testTrustDomain);
  const token = { keyId: 'k', publicKey: new Uint8Array(), tainted: false };

  it('is that of the longest authority, tainted or not, within a year', () => {
    const x509Authorities = [{ certificate, tainted: true }];
    expect(lastSvidEnd({ ...bundle, x509Authorities }, NOW)).toBe(
      Math.min(notAfter, NOW + 365 * DAY_MS),
    );
    const jwtAuthorities = [{ ...token, expiresAt: NOW + 9 * DAY_MS }];
    expect(lastSvidEnd({ ...bundle, jwtAuthorities }, NOW)).toBe(NOW + 9 * DAY_MS);
  });

  it('is at most a year away, and never over', () => {
    const jwtAuthorities = [{ ...token, expiresAt: undefined }];
    expect(lastSvidEnd({ ...bundle, jwtAuthorities }, NOW)).toBe(NOW + 365 * DAY_MS);
    expect(lastSvidEnd(bundle, NOW)).toBe(NOW);
  });
});
