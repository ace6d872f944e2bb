import { expect, it } from 'vitest';
import { makeCertificate } from '../../../test/fakes/test-certificates.ts';
import { describeChain } from './peer-status.ts';

it('names what was presented, and shows no byte that a terminal would obey', async () => {
  const svid = await makeCertificate();
  const web = await makeCertificate({ uris: [], dns: ['b.test'] });
  const named = await makeCertificate({ uris: [], subject: 'CN=\u001b[2J' });
  const chain = [svid.der, web.der, named.der, new Uint8Array([1])];
  const [one, two, three, four] = describeChain(chain);
  expect(one).toMatchObject({ name: 'spiffe://a.test/web' });
  expect(one?.fingerprint).toMatch(/^[0-9a-f]{64}$/u);
  expect(two).toMatchObject({ name: 'b.test' });
  expect(three?.name).toMatch(/^[ -~]+$/u);
  expect(four).toMatchObject({ serialNumber: '', notAfter: 0 });
});
