import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TYPES } from '../differential/judged-parts.ts';
import { launchOnePolicy } from '../differential/launch-one-policy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains } from '../differential/random-policies.ts';
import { RawClient } from '../differential/raw-client.ts';
import { judges, type RbacEnvoy } from '../differential/rbac-envoy.ts';

const WEB = `spiffe://${domains.own}/ns/shop/sa/web`;
const near = { 'source.ip': ['10.1.0.0/16', '2001:db8::/32'] };
const peer = { 'source.ip': ['127.0.0.0/8'] };

const policy: PolicyDocument = {
  metadata: { name: 'p' },
  service: { contextExtension: 'c' },
  rules: [
    { id: 'near', from: [WEB], allow: ['GET /near'], when: near },
    { id: 'peer', from: [WEB], allow: ['GET /peer'], when: peer },
    { id: 'all', from: [WEB], allow: ['GET /all'] },
    { id: 'to', from: [WEB], allow: ['GET /to'], when: { 'destination.ip': ['10.9.0.0/16'] } },
    { id: 'port', from: [WEB], allow: [{ methods: ['GET'], paths: ['/port'], port: 4433 }] },
    { id: 'not-bad', from: 'anyone', deny: ['/all'], when: { 'source.ip': ['10.66.0.0/16'] } },
  ],
};
const proxyProtocol = {
  name: 'envoy.filters.listener.proxy_protocol',
  typed_config: {
    '@type': `${TYPES}.filters.listener.proxy_protocol.v3.ProxyProtocol`,
    allow_requests_without_proxy_protocol: true,
  },
};

interface Said {
  /** The address of the PROXY protocol. */
  readonly proxied?: string;
  /** And that which it goes to, port 4433. */
  readonly to?: string;
  readonly forwarded?: string;
}

/** Who is believed about x-forwarded-for. */
const managers = [
  ['the last address of x-forwarded-for', { use_remote_address: false }],
  ['nobody', { use_remote_address: true }],
  ['one proxy', { use_remote_address: true, xff_num_trusted_hops: 1 }],
] as const;

describe.each(managers)('source.ip in an Envoy that believes %s', (_, manager) => {
  let envoy: RbacEnvoy;
  let port: number;

  beforeAll(async () => {
    ({ envoy, port } = await launchOnePolicy(policy, {
      manager,
      listenerFilters: [proxyProtocol],
    }));
  });
  afterAll(async () => await envoy[Symbol.asyncDispose]());

  /** What Check alone, RBAC alone, and RBAC before Check come to. */
  async function outcomes(path: string, said: Said) {
    const { proxied, forwarded, to } = said;
    const lines = forwarded === undefined ? [] : [`x-forwarded-for: ${forwarded}`];
    const head = [`GET ${path} HTTP/1.1`, 'host: api.example', 'x-case: c', ...lines, '', ''];
    const family = proxied?.includes(':') === true ? 'TCP6' : 'TCP4';
    const own = family === 'TCP6' ? '::1' : '127.0.0.1';
    const line = `PROXY ${family} ${proxied} ${to ?? own} 1 ${to === undefined ? 2 : 4433}\r\n`;
    const preface = proxied === undefined ? '' : line;
    return await Promise.all(
      (['check', 'alone', 'both'] as const).map(async (judge) => {
        const identity = envoy.identityOf(WEB);
        const options = { host: judges[judge], port, localAddress: '127.0.0.1', identity };
        const client = new RawClient({ ...options, preface });
        const { status } = await client.ask(head.join('\r\n'));
        client.close();
        return status;
      }),
    );
  }

  it('and where it goes to are what the PROXY protocol says, to the port', async () => {
    const to = '10.9.0.1';
    expect(await outcomes('/to', { proxied: '10.1.0.1', to })).toEqual(allowed);
    expect(await outcomes('/to', { proxied: '10.1.0.1', to: '10.8.0.1' })).toEqual(denied);
    expect(await outcomes('/to', {})).toEqual(denied);
    expect(await outcomes('/port', { proxied: '10.1.0.1', to })).toEqual(allowed);
    expect(await outcomes('/port', { proxied: '10.1.0.1' })).toEqual(denied);
  });

  it('is that of IPv4 where it is written as one of IPv6', async () => {
    expect(await outcomes('/near', { proxied: '::ffff:10.1.0.1' })).toEqual(allowed);
    expect(await outcomes('/near', { proxied: '::ffff:10.2.0.1' })).toEqual(denied);
    expect(await outcomes('/all', { proxied: '::ffff:10.66.0.1' })).toEqual(denied);
  });

  const allowed = [200, 200, 200];
  const denied = [403, 403, 403];

  it.each([undefined, '10.1.0.1', '10.9.9.9, 10.1.0.1', '2001:db8::1'])(
    'is that of the connection, whatever x-forwarded-for: %s says',
    async (forwarded) => {
      const said = forwarded === undefined ? {} : { forwarded };
      expect(await outcomes('/peer', said)).toEqual(allowed);
      expect(await outcomes('/near', said)).toEqual(denied);
    },
  );

  it.each(['10.1.0.1', '2001:db8::1'])('is what the PROXY protocol says: %s', async (proxied) => {
    expect(await outcomes('/near', { proxied })).toEqual(allowed);
    expect(await outcomes('/near', { proxied, forwarded: '10.66.0.1' })).toEqual(allowed);
    expect(await outcomes('/peer', { proxied })).toEqual(denied);
    expect(await outcomes('/peer', { proxied, forwarded: '127.0.0.1' })).toEqual(denied);
  });

  it('denies by it, and nobody gets around that by x-forwarded-for', async () => {
    expect(await outcomes('/all', {})).toEqual(allowed);
    expect(await outcomes('/all', { proxied: '10.66.0.1' })).toEqual(denied);
    expect(await outcomes('/all', { proxied: '10.66.0.1', forwarded: '10.1.0.1' })).toEqual(denied);
    expect(await outcomes('/all', { proxied: '10.1.0.1', forwarded: '10.66.0.1' })).toEqual(
      allowed,
    );
  });
});
