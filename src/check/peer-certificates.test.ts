import { describe, expect, it } from 'vitest';
import { makeAuthority, makeCertificate, testNow } from '../../test/fakes/test-certificates.ts';
import { encodePem } from '../spiffe/index.ts';
import { PeerCertificates } from './peer-certificates.ts';

const WEB = 'spiffe://prod.example/web';

describe('certificates that are remembered', () => {
  it('are read once, unless they are long: whoever may ask could have any number kept', async () => {
    const issuer = await makeAuthority({ uris: ['spiffe://prod.example'] });
    const { der } = await makeCertificate({ issuer, uris: [WEB] });
    const text = encodeURIComponent(encodePem('CERTIFICATE', der));
    const certificates = new PeerCertificates();
    const read = (said: string) => certificates.read(said, testNow);
    expect(read(text)?.spiffeId.toString()).toBe(WEB);
    expect(read(text)).toBe(read(text));
    const long = `${text}${'%0A'.repeat(2_800)}`;
    expect(read(long)?.spiffeId.toString()).toBe(WEB);
    expect(read(long)).not.toBe(read(long));
    expect(read(`${text}${'%0A'.repeat(30_000)}`)).toBeUndefined();
  });
});
