import { expect, it } from 'vitest';
import { makeAuthority, makeCertificate } from '../../test/fakes/test-certificates.ts';
import { encodePem } from './pem.ts';
import { parsePemBundle } from './pem-bundle.ts';
import { TrustDomain } from './trust-domain.ts';

const trustDomain = TrustDomain.parse('a.test');

it('has every certificate of the text as an authority', async () => {
  const authorities = [await makeAuthority(), await makeAuthority()];
  const text = authorities.map(({ der }) => encodePem('CERTIFICATE', der)).join('\n');
  const bundle = parsePemBundle(trustDomain, text);
  expect(bundle.trustDomain).toBe(trustDomain);
  expect(bundle.x509Authorities.map(({ certificate }) => Buffer.from(certificate))).toEqual(
    authorities.map(({ der }) => Buffer.from(der)),
  );
});

it('is refused without an authority, and with a leaf among them', async () => {
  expect(() => parsePemBundle(trustDomain, '')).toThrow(
    expect.objectContaining({ code: 'ERR_BUNDLE' }),
  );
  const leaf = await makeCertificate();
  expect(() => parsePemBundle(trustDomain, encodePem('CERTIFICATE', leaf.der))).toThrow(
    expect.objectContaining({ code: 'ERR_BUNDLE' }),
  );
});
