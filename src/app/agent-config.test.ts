import { expect, it } from 'vitest';
import { buildAgentConfig } from './agent-config.ts';
import { buildConfig } from './config.ts';
import { defaultPaths } from './default-paths.ts';

const paths = defaultPaths(0, {});

it('asks a server on this host for nothing that was not said', () => {
  expect(buildAgentConfig(undefined, paths)).toEqual({
    agentDataDir: '/var/lib/trustplane-agent',
    agentCache: { keyFile: '/etc/trustplane/agent-cache.key' },
    servers: [{ host: '127.0.0.1', port: 8081 }],
    bootstrap: undefined,
    nodeAttestation: undefined,
    takePolicies: false,
  });
});

it('takes one way to trust and one way to attest', () => {
  const agent = {
    bootstrap: { bundleUrl: 'https://b.test/', bundleUrlPublicKey: 'ab'.repeat(32) },
    nodeAttestation: { joinTokenFile: '/etc/token' },
  };
  expect(buildAgentConfig(agent, paths)).toMatchObject({
    bootstrap: { kind: 'url', url: 'https://b.test/', publicKeySha256: 'ab'.repeat(32) },
    nodeAttestation: { kind: 'joinTokenFile', settings: '/etc/token' },
  });
});

it.each([
  [{ bootstrap: { bundleFile: '/a', insecure: true } }, 'exclude each other'],
  [{ bootstrap: { bundleUrlPublicKey: 'ab'.repeat(32) } }, 'without bundleUrl'],
  [{ nodeAttestation: { joinToken: 'a', joinTokenFile: '/b' } }, 'exclude each other'],
])('refuses %j', (agent, why) => {
  expect(() => buildAgentConfig(agent, paths)).toThrow(
    expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(why) }),
  );
});

it.each([
  ['server.example:8081', { host: 'server.example', port: 8081 }],
  ['10.0.0.1:1', { host: '10.0.0.1', port: 1 }],
  ['[::1]:65535', { host: '::1', port: 65_535 }],
])('reaches a server at %s', (server, address) => {
  expect(buildConfig({ servers: [server] }, {}, paths).servers).toEqual([address]);
});

it.each(['server.example', ':8081', 'a:0', 'a:65536', '[a.test]:1', 'http://a:1', 'a b:1', ''])(
  'reaches no server at %j',
  (server) => {
    expect(() => buildConfig({ servers: [server] }, {}, paths)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining('--server') }),
    );
  },
);
