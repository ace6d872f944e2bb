import { describe, expect, it } from 'vitest';
import { type BootstrapFlags, parseBootstrapFlags } from './parse-flags.ts';
import { writeBootstrapJson, writeBootstrapYaml } from './write-bootstrap.ts';

const ID = 'spiffe://example.org/server';
const jwt = 'issuer=https://login.example,audience=a,jwks=/keys.json';

function flags(more: Partial<BootstrapFlags>): BootstrapFlags {
  return {
    spiffeId: ID,
    role: 'server',
    agentSocket: '/run/agent.sock',
    admin: '127.0.0.1:9901',
    maxConnectionDuration: '1h',
    ...more,
  };
}

const client = { role: 'client', peer: 'a.example:443', peerId: [ID] } as const;

describe('what envoy bootstrap refuses', () => {
  it.each<[Partial<BootstrapFlags>, string]>([
    [{ spiffeId: 'example.org/server' }, '--spiffe-id: a SPIFFE ID begins with'],
    [{ spiffeId: 'spiffe://example.org' }, '--spiffe-id names a workload'],
    [{ callerId: ['spiffe://example.org'] }, '--caller-id names a workload'],
    [{ listen: '8443' }, '--listen is a host and port'],
    [{ listen: '1.2.3:1' }, '--listen is a host and port'],
    [{ listen: '[::1:1' }, '--listen is a host and port'],
    [{ listen: '127.0.0.1:65536' }, '--listen is a host and port'],
    [{ listen: 'name.example:8443' }, 'Envoy does not resolve where it listens'],
    [{ listen: '127.0.0.1:9901' }, '--listen and --admin are the same port'],
    [{ upstream: `/${'a'.repeat(107)}` }, 'has 108 bytes'],
    [{ upstream: '/a\nb' }, 'absolute path of a Unix socket'],
    [{ agentSocket: 'agent.sock' }, '--agent-socket is the absolute path'],
    [{ admin: '0.0.0.0:9901' }, '--admin is a loopback address'],
    [{ admin: 'localhost:9901' }, '--admin is an IP address'],
    [{ maxConnectionDuration: '5' }, '--max-connection-duration: a duration is'],
    [{ maxConnectionDuration: '0s' }, '--max-connection-duration is 1s to'],
    [{ maxConnectionDuration: '25h' }, '--max-connection-duration is 1s to'],
    [{ maxConnectionDuration: 'soon' }, 'duration'],
    [{ trust: 'ANY' }, '--trust is ALL, ROOTCA or a trust domain'],
    [{ trust: 'all' }, '--trust is ALL or ROOTCA in capitals'],
    [{ accessLog: 'access.log' }, '--access-log is stdout, none or the absolute path'],
    [{ nodeId: '' }, '--node-id has 1 to'],
    [{ policyName: 'a\nb' }, '--policy-name has 1 to'],
    [{ authz: 'none' }, 'say who with --caller-id'],
    [{ authz: 'none', callerId: [ID], jwtProvider: [jwt] }, 'are for policies'],
    [{ authz: 'none', callerId: [ID], policyName: 'a' }, 'are for policies'],
    [{ authz: 'check' }, '--authz check takes --authz-socket'],
    [{ authz: 'rbac', authzSocket: '/a' }, '--authz rbac asks nobody'],
    [{ authz: 'rbac', authzId: ID }, '--authz rbac asks nobody'],
    [{ authzSocket: '/a', authzId: ID }, 'there is no TLS on a Unix socket'],
    [{ authzSocket: '10.0.0.1:1' }, 'takes --authz-id'],
    [{ tcp: true, authz: 'rbac+check', authzSocket: '/a' }, 'is for HTTP'],
    [{ tcp: true, authzSocket: '/a', policyName: 'a' }, 'cannot be told to Check'],
    [{ tcp: true, jwtProvider: [jwt] }, 'is for HTTP'],
    [{ peer: 'a.example:1' }, '--peer belongs to --role client or both'],
    [{ peerId: [ID] }, '--peer-id belongs to --role client or both'],
    [{ role: 'client', authzSocket: '/a' }, '--authz-socket belongs to --role server or both'],
    [{ ...client, accessLog: 'none' }, '--access-log belongs to --role server or both'],
    [{ role: 'client' }, '--role client takes --peer'],
    [{ role: 'both', peer: '10.0.0.1:1' }, '--role both takes --peer'],
    [{ ...client, egress: '0.0.0.0:8081' }, '--egress is a loopback address'],
    [{ ...client, role: 'both', listen: '/a', egress: '/a' }, '--listen and --egress are the same'],
    [{ jwtProvider: ['https://login.example'] }, '--jwt-provider is issuer='],
    [{ jwtProvider: ['issuer=a,audience=b'] }, 'takes one issuer, one jwks'],
    [{ jwtProvider: ['issuer=a,jwks=/b'] }, 'takes one issuer, one jwks'],
    [{ jwtProvider: ['issuer=a,issuer=b,audience=c,jwks=/d'] }, 'takes one issuer'],
    [{ jwtProvider: ['issuer=a,audience=b,jwks=http://c'] }, 'an https URL or'],
    [{ jwtProvider: ['issuer=a,audience=b,jwks=https://u:p@c'] }, 'an https URL or'],
    [{ jwtProvider: [jwt, jwt] }, 'twice'],
    [{ envoyVersion: 'latest' }, '--envoy-version is a version such as 1.40'],
    [{ envoyVersion: '1.35.9' }, 'Envoy 1.35 is too old'],
    [
      { envoyVersion: '1.36', tcp: true },
      'Envoy 1.36 is too old for deciding about a TCP connection',
    ],
  ])('%j: %s', (more, why) => {
    expect(() => writeBootstrapJson(parseBootstrapFlags(flags(more)))).toThrow(why);
  });
});

describe('how envoy bootstrap decides what was not said', () => {
  it.each<[Partial<BootstrapFlags>, boolean, boolean, string]>([
    [{}, true, false, 'ALL'],
    [{ authzSocket: '/a' }, true, true, 'ALL'],
    [{ authzSocket: '/a', tcp: true }, false, true, 'ALL'],
    [{ authz: 'none', callerId: [ID] }, false, false, 'ROOTCA'],
    [{ authz: 'check', authzSocket: '/a' }, false, true, 'ALL'],
  ])('%j', (more, hasRules, asks, trust) => {
    const { inbound, trust: trusted } = parseBootstrapFlags(flags(more));
    expect([inbound?.hasRules, inbound?.check !== undefined, trusted]).toEqual([
      hasRules,
      asks,
      trust,
    ]);
  });

  it('a client trusts its own trust domain, and what it names is its peer', () => {
    expect(parseBootstrapFlags(flags(client))).toMatchObject({
      trust: 'ROOTCA',
      inbound: undefined,
    });
  });
});

it('asks for the rules of the service and its policy by the name of the filter', () => {
  const named = (more: Partial<BootstrapFlags>): string =>
    writeBootstrapJson(parseBootstrapFlags(flags(more)));
  expect(named({})).toContain(`"trustplane.rbac:${ID}"`);
  expect(named({ tcp: true })).toContain(`"trustplane.network-rbac:${ID}"`);
  const both = named({ authzSocket: '/a', policyName: 'a b?"' });
  expect(both).toContain(JSON.stringify(`trustplane.rbac-before-check:${ID}?policy=a b?"`));
  expect(both).toContain('"trustplane.policy": "a b?\\""');
});

it.each([
  ['localhost:8080', 'LOGICAL_DNS', 'ALL'],
  ['app.example:8080', 'STRICT_DNS', 'V4_PREFERRED'],
  ['127.0.0.1:8080', 'STATIC', undefined],
])('finds an application at %s', (upstream, type, family) => {
  const { static_resources: resources } = JSON.parse(
    writeBootstrapJson(parseBootstrapFlags(flags({ upstream }))),
  );
  const [application] = resources.clusters;
  expect([application.type, application.dns_lookup_family]).toEqual([type, family]);
});

it('writes no comment that YAML would take for something else', () => {
  const options = parseBootstrapFlags(flags({ nodeId: 'a # b: "c"' }));
  expect(writeBootstrapYaml(options, ['x'])).toContain('id: "a # b: \\"c\\""');
});
