import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import {
  type BootstrapFlags,
  parseBootstrapFlags,
  writeBootstrapJson,
  writeBootstrapYaml,
} from '../../src/envoy/index.ts';
import { TrustplaneError } from '../../src/spiffe/index.ts';

const odd = fc.string({ unit: 'binary', maxLength: 30 });
const oneOf = (...texts: readonly string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...texts) }, { weight: 1, arbitrary: odd });
const id = oneOf('spiffe://example.org/a', 'spiffe://b.example/x/y');
const place = oneOf(
  '127.0.0.1:80',
  '[::1]:81',
  '/run/a b#"c.sock',
  'name.example:443',
  'unix:///x',
);
const values: Record<string, fc.Arbitrary<unknown>> = {
  spiffeId: id,
  agentSocket: oneOf('/run/agent.sock', '/run/"odd": # *name'),
  admin: oneOf('127.0.0.1:9901', 'none', '/run/admin.sock'),
  maxConnectionDuration: oneOf('1h', '1s', '1500ms'),
  listen: place,
  upstream: place,
  callerId: fc.array(id, { maxLength: 2 }),
  egress: place,
  peer: place,
  peerId: fc.array(id, { maxLength: 2 }),
  authz: fc.constantFrom('none', 'check', 'rbac', 'rbac+check'),
  authzSocket: place,
  authzId: id,
  policyName: odd,
  jwtProvider: fc.array(
    oneOf('issuer=a,audience=b,jwks=/c', 'issuer=d,audience=*e,jwks=https://f/g'),
    { maxLength: 2 },
  ),
  trust: oneOf('ALL', 'ROOTCA', 'b.example'),
  tcp: fc.boolean(),
  ads: fc.boolean(),
  sotw: fc.boolean(),
  accessLog: oneOf('stdout', 'none', '/var/log/a: b'),
  nodeId: odd,
  envoyVersion: oneOf('1.40', '1.36'),
};
const change = fc
  .constantFrom(...Object.entries(values))
  .chain(([name, value]) => value.map((one) => ({ [name]: one })));
const server: BootstrapFlags = {
  role: 'server',
  spiffeId: 'spiffe://example.org/a',
  agentSocket: '/run/agent.sock',
  admin: 'none',
  maxConnectionDuration: '1h',
};
const peers = { peer: '10.0.0.1:1', peerId: ['spiffe://example.org/b'] };
/** Good ones with a few values changed, for better or worse. */
const flags: fc.Arbitrary<BootstrapFlags> = fc
  .tuple(
    fc.constantFrom<BootstrapFlags>(
      server,
      { ...server, ...peers, role: 'client' },
      { ...server, ...peers, role: 'both' },
    ),
    fc.array(change, { maxLength: 4 }),
  )
  .map(([good, changes]) => Object.assign({}, good, ...changes));

it('flags of envoy bootstrap are refused with a reason, or become one configuration in both forms', () => {
  let made = 0;
  fc.assert(
    fc.property(flags, (given) => {
      try {
        const options = parseBootstrapFlags(given);
        const json: unknown = JSON.parse(writeBootstrapJson(options));
        expect(parse(writeBootstrapYaml(options, ['a']))).toEqual(json);
        made += 1;
      } catch (error) {
        if (!(error instanceof TrustplaneError)) throw error;
      }
    }),
    { numRuns: 400 },
  );
  expect(made).toBeGreaterThan(50);
});
