import { describe, expect, it } from 'vitest';
import { type AuthzListenConfig, buildAuthzListen } from './authz-listen-config.ts';
import { authzListenSchema } from './authz-listen-schema.ts';

function build(file: object): AuthzListenConfig | undefined {
  return buildAuthzListen(authzListenSchema.parse(file));
}

describe('where proxies ask over TCP', () => {
  it('is in clear text on loopback alone, unless it is said', () => {
    expect(build({ address: '127.0.0.1:9192' })).toEqual({
      host: '127.0.0.1',
      port: 9192,
      tls: undefined,
    });
    expect(build({ address: '[::1]:9192' })).toMatchObject({ host: '::1' });
    expect(() => build({ address: '10.0.0.1:9192' })).toThrow(
      'authz.listen: 10.0.0.1 is reached from elsewhere: expected tls, or clearText: true',
    );
    expect(() => build({ address: '0.0.0.0:9192' })).toThrow('reached from elsewhere');
    expect(build({ address: '0.0.0.0:9192', clearText: true })?.tls).toBeUndefined();
    expect(() => build({ address: '10.0.0.1:9192', clearText: true, tls: {} })).toThrow('exclude');
  });

  it('shows an SVID or files over TLS, and lets in whom it is told to', () => {
    const address = '0.0.0.0:9192';
    expect(build({ address, tls: {} })?.tls).toEqual({
      identity: { kind: 'workload-api', socket: undefined, spiffeId: undefined },
      clients: undefined,
      admitsAnonymous: false,
    });
    const files = { certificateFile: '/c.pem', privateKeyFile: '/k.pem' };
    const clients = ['spiffe://prod.example/ingress/*'];
    expect(build({ address, tls: { ...files, clients, anonymousClients: true } })?.tls).toEqual({
      identity: { kind: 'files', ...files },
      clients,
      admitsAnonymous: true,
    });
    expect(() => build({ address, tls: { certificateFile: '/c.pem' } })).toThrow('go together');
    const spiffeId = 'spiffe://prod.example/authz';
    expect(() => build({ address, tls: { ...files, spiffeId } })).toThrow('exclude each other');
  });

  it.each([
    { address: '127.0.0.1:9192', tls: { clients: ['spiffe://*.example/a'] } },
    { address: '127.0.0.1:9192', tls: { clients: [] } },
    { address: '127.0.0.1:9192', tls: { spiffeId: 'https://prod.example/a' } },
    { address: 'localhost:9192' },
  ])('is refused in another form: %j', (file) => {
    expect(authzListenSchema.safeParse(file).success).toBe(false);
  });
});
