import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { askForAll } from '../../src/app/ask-for-all.ts';
import { TYPES } from '../differential/judged-parts.ts';
import { launchOnePolicy } from '../differential/launch-one-policy.ts';
import type { PolicyDocument } from '../differential/policy-document.ts';
import { domains } from '../differential/random-policies.ts';
import { RawClient } from '../differential/raw-client.ts';
import { judges, type RbacEnvoy } from '../differential/rbac-envoy.ts';

const WEB = `spiffe://${domains.own}/ns/shop/sa/web`;

const policy: PolicyDocument = {
  metadata: { name: 'p' },
  service: { contextExtension: 'c' },
  rules: [
    { id: 'ok', from: [WEB], allow: ['/ok/**', '/plain/**'] },
    { id: 'late', from: [WEB], allow: [{ paths: ['/asked'], query: { a: 'b' } }] },
  ],
};

const authz = {
  '@type': `${TYPES}.filters.http.ext_authz.v3.ExtAuthzPerRoute`,
  check_settings: { context_extensions: { 'trustplane.policy': 'c' } },
};
const nothing = { '@type': `${TYPES}.filters.http.rbac.v3.RBACPerRoute` };
/** What operators may have, and an attacker would want. */
const routes = [
  {
    match: { prefix: '/plain' },
    route: { cluster: 'application' },
    typed_per_filter_config: { 'envoy.filters.http.ext_authz': authz, 'rbac-0-both': nothing },
  },
  {
    match: { prefix: '/' },
    route: {
      cluster: 'application',
      internal_redirect_policy: { max_internal_redirects: 3 },
      retry_policy: { retry_on: '5xx', num_retries: 2 },
    },
    typed_per_filter_config: { 'envoy.filters.http.ext_authz': authz },
  },
];
/** A mistake that `envoy lint` finds. */
const spoofed = {
  name: 'from-headers',
  typed_config: {
    '@type': `${TYPES}.filters.http.header_to_metadata.v3.Config`,
    request_rules: ['tp_alone_shadow_engine_result', 'tp_enforced_engine_result'].map((key) => ({
      header: 'x-spoof',
      on_header_present: { metadata_namespace: 'envoy.filters.http.rbac', key, type: 'STRING' },
    })),
  },
};

describe('rules in Envoy, and the routes around them', () => {
  let envoy: RbacEnvoy;
  let port: number;

  beforeAll(async () => {
    ({ envoy, port } = await launchOnePolicy(policy, {
      filters: [spoofed],
      routes,
    }));
  });
  afterAll(async () => await envoy[Symbol.asyncDispose]());

  /** What Check alone, RBAC alone, and RBAC before Check come to. */
  async function outcomes(path: string, ...lines: readonly string[]) {
    const head = [`GET ${path} HTTP/1.1`, 'host: a', 'x-case: c', ...lines, '', ''].join('\r\n');
    return await Promise.all(
      (['check', 'alone', 'both'] as const).map(async (judge) => {
        const identity = envoy.identityOf(WEB);
        const options = { host: judges[judge], port, localAddress: '127.0.0.1', identity };
        const client = new RawClient(options);
        const { status } = await client.ask(head);
        client.close();
        return status;
      }),
    );
  }

  it('are asked again about each internal redirect', async () => {
    expect(await outcomes('/ok')).toEqual([200, 200, 200]);
    expect(await outcomes('/ok/a', 'x-elsewhere: https://a/ok/b')).toEqual([200, 200, 200]);
    expect(await outcomes('/ok/a', 'x-elsewhere: https://a/secret')).toEqual([403, 403, 403]);
    expect(await outcomes('/ok/a', 'x-elsewhere: https://a/ok/../secret')).toEqual([403, 403, 403]);
    // Skipped for the first, asked about the second.
    expect(await outcomes('/ok/a', 'x-elsewhere: https://a/asked?a=b')).toEqual([200, 403, 200]);
    expect(await outcomes('/ok/a', 'x-elsewhere: https://a/asked?a=c')).toEqual([403, 403, 403]);
  });

  it('say the word that skips Check themselves, whatever was written there before', async () => {
    expect(await outcomes('/secret', 'x-spoof: allowed')).toEqual([403, 403, 403]);
    expect(await outcomes('/asked?a=c', 'x-spoof: allowed')).toEqual([403, 403, 403]);
    expect(await outcomes('/asked?a=b', 'x-spoof: allowed')).toEqual([200, 403, 200]);
    expect(await outcomes('/ok', 'x-spoof: denied')).toEqual([200, 200, 200]);
  });

  it('that a route switches off are asked about there', async () => {
    expect(await outcomes('/plain')).toEqual([200, 200, 200]);
    expect(await outcomes('/plainest')).toEqual([403, 403, 403]);
  });

  it('that cannot be had are no rules: Check is asked about all', async () => {
    const name = 'rbac-0-both';
    await envoy.ecds.put(name, askForAll(name).bytes);
    for (const path of ['/ok', '/secret', '/asked?a=b', '/asked?a=c']) {
      const [check, , both] = await outcomes(path, 'x-spoof: allowed');
      expect([path, both]).toEqual([path, check]);
    }
  });
});
