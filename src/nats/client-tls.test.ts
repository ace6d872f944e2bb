import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { makeCertificate } from '../../test/fakes/test-certificates.ts';
import { SubjectAlternativeNameExtension } from '../../test/oracles/x509.ts';
import { systemClock } from '../ops/index.ts';
import { buildClientTls } from './client-tls.ts';

it.each([
  { what: 'an IP address', type: 'ip', value: '192.0.2.7' },
  { what: 'localhost', type: 'dns', value: 'localhost' },
] as const)('knows a nats-server by $what, and no other', async ({ type, value }) => {
  const names = new SubjectAlternativeNameExtension([{ type, value }]);
  const { der } = await makeCertificate({ uris: [], extensions: [names] });
  const certificate = new X509Certificate(der).toLegacyObject();
  const check = (addresses: readonly string[], host: string): Error | undefined => {
    const tls = buildClientTls({ server: {} }, addresses, systemClock, () => {});
    return tls.checkServerIdentity?.(host, certificate);
  };
  // What Node says of a server that the client library has no name of.
  expect(check(['192.0.2.8', '192.0.2.7'], 'localhost')).toBeUndefined();
  expect(check(['192.0.2.7'], 'nats.test')).toBeInstanceOf(Error);
  expect(check(['192.0.2.8'], 'localhost') === undefined).toBe(type === 'dns');
});
