import { describe, expect, it } from 'vitest';
import { findEndpointAddress, parseEndpointAddress } from './endpoint-address.ts';

describe('parseEndpointAddress', () => {
  it.each([
    ['unix:///a.sock', '/a.sock'],
    ['unix:/a.sock', '/a.sock'],
    ['unix:/tmp/with%20space/%C3%A4.sock', '/tmp/with space/ä.sock'],
    ['unix:///run/user/1000/@x:y,z;(1)~.sock', '/run/user/1000/@x:y,z;(1)~.sock'],
  ])('takes %s (WLEP-6)', (text, path) => {
    expect(parseEndpointAddress(text)).toEqual({ kind: 'unix', path });
  });

  it.each([
    ['tcp://127.0.0.1:8000', '127.0.0.1', 8000],
    ['tcp://[::1]:1', '::1', 1],
    ['tcp://[::ffff:1.2.3.4]:65535', '::ffff:1.2.3.4', 65_535],
  ])('takes %s (WLEP-6)', (text, host, port) => {
    expect(parseEndpointAddress(text)).toEqual({ kind: 'tcp', host, port });
  });

  it.each([
    '',
    '/a.sock',
    'a.sock',
    'unix:',
    'unix:/',
    'unix://',
    'unix:///',
    'unix://a.sock',
    'unix:a.sock',
    'unix:./a.sock',
    'unix://localhost/a.sock',
    'unix://user@/a.sock',
    'unix:///a?x',
    'unix:///a?',
    'unix:///a#x',
    'unix:///a#',
    'unix:///a b',
    'unix:///a\n',
    'unix:///ä',
    'unix:///a%',
    'unix:///a%2',
    'unix:///a%zz',
    'unix:///a%00b',
    'unix:///a%ff',
    'UNIX:///a.sock',
    ' unix:///a.sock',
    `unix:///${'a'.repeat(4_096)}`,
    'tcp://localhost:1',
    'tcp://1.2.3.4',
    'tcp://1.2.3.4:',
    'tcp://1.2.3.4:0',
    'tcp://1.2.3.4:01',
    'tcp://1.2.3.4:65536',
    'tcp://1.2.3.4:1/foo',
    'tcp://1.2.3.4:1/',
    'tcp://1.2.3.4:1?x',
    'tcp://1.2.3.4:1#x',
    'tcp://u@1.2.3.4:1',
    'tcp://1.2.3:1',
    'tcp://1.2.3.256:1',
    'tcp://01.2.3.4:1',
    'tcp://::1:1',
    'tcp://[::1]',
    'tcp://[1.2.3.4]:1',
    'tcp://[::1%25eth0]:1',
    'tcp:1.2.3.4:1',
    'npipe:x',
    'http://1.2.3.4:1',
  ])('refuses %j (WLEP-6)', (text) => {
    expect(() => parseEndpointAddress(text)).toThrowError(
      expect.objectContaining({ code: 'ERR_ENDPOINT_ADDRESS' }),
    );
  });
});

describe('findEndpointAddress', () => {
  const SPIFFE_ENDPOINT_SOCKET = 'unix:///environment';

  it('takes what is given before the environment (WLEP-5)', () => {
    const found = findEndpointAddress('unix:///given', { SPIFFE_ENDPOINT_SOCKET });
    expect(found).toEqual({ kind: 'unix', path: '/given' });
  });

  it('falls back to SPIFFE_ENDPOINT_SOCKET (WLEP-5)', () => {
    const found = findEndpointAddress(undefined, { SPIFFE_ENDPOINT_SOCKET });
    expect(found).toEqual({ kind: 'unix', path: '/environment' });
  });

  it.each([{}, { SPIFFE_ENDPOINT_SOCKET: '' }])('says what is missing: %j', (environment) => {
    expect(() => findEndpointAddress(undefined, environment)).toThrowError(
      /no Workload API address.*SPIFFE_ENDPOINT_SOCKET/,
    );
  });
});
