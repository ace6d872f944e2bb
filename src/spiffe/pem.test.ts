import { describe, expect, it } from 'vitest';
import { makeCertificate } from '../../test/fakes/test-certificates.ts';
import * as oracle from '../../test/oracles/x509.ts';
import { decodePem, encodePem } from './pem.ts';

const malformed = (why: string) =>
  expect.objectContaining({ code: 'ERR_PEM', message: expect.stringContaining(why) });

describe('PEM', () => {
  it('writes what another implementation reads, and reads it back', async () => {
    const { der } = await makeCertificate();
    const pem = encodePem('CERTIFICATE', der);
    expect(new oracle.X509Certificate(pem).rawData).toEqual(der.buffer);
    expect(decodePem('CERTIFICATE', `\n${pem}\r\n${pem.replaceAll('\n', '\r\n')}`)).toEqual([
      Buffer.from(der),
      Buffer.from(der),
    ]);
    expect(decodePem('CERTIFICATE', '')).toEqual([]);
  });

  it.each([
    ['hello', '1: expected a block of CERTIFICATE; got "hello"'],
    ['\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----', 'line 2: expected a block'],
    ['-----BEGIN CERTIFICATE-----\nAAAA\n', 'without END'],
    ['-----BEGIN CERTIFICATE-----\nAA!A\n-----END CERTIFICATE-----', 'not base64'],
    ['-----BEGIN CERTIFICATE-----\nAAB\n-----END CERTIFICATE-----', 'not base64'],
    ['-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----', 'not base64'],
    ['x'.repeat(5_000_000), 'at most 4194304'],
  ])('refuses %.30s', (text, why) => {
    expect(() => decodePem('CERTIFICATE', text)).toThrow(malformed(why));
  });
});
