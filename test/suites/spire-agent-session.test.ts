import { createPublicKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { parseCsr, parseX509Svid } from '../../src/spiffe/index.ts';
import { openFleet } from '../fakes/open-fleet.ts';
import { testDraft } from '../fakes/test-entries.ts';

/**
 * Certificate requests as SPIRE 1.15's agent makes them, with the subject C=US, O=SPIRE: for itself (EC,
 * without a name), and for the workload spiffe://a.test/web (EC, and RSA 2048).
 */
const recorded = {
  agent:
    'MIHWMH8CAQAwHTELMAkGA1UEBhMCVVMxDjAMBgNVBAoTBVNQSVJFMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEb/Qb0rrx/SYH/62SXpOp6C7grzpuvCBqqg7kdAUNcLCb/DC2akLhD+NxS68aE9PTZROCInrcSiUjJmELgGX34qAAMAoGCCqGSM49BAMCA0cAMEQCICMozCFqfzmSEdBZLFQ6+FbPySIa8sX96E0cz7K0OqJZAiB36TZLC8Bgh6muiJr6NmK7Qy0ywHvENUvgH9qBKR8MlA==',
  ec: 'MIIBCDCBsAIBADAdMQswCQYDVQQGEwJVUzEOMAwGA1UEChMFU1BJUkUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARv9BvSuvH9Jgf/rZJek6noLuCvOm68IGqqDuR0BQ1wsJv8MLZqQuEP43FLrxoT09NlE4IietxKJSMmYQuAZffioDEwLwYJKoZIhvcNAQkOMSIwIDAeBgNVHREEFzAVhhNzcGlmZmU6Ly9hLnRlc3Qvd2ViMAoGCCqGSM49BAMCA0cAMEQCIGx7ZynlEuer+L1Xns9eOtjEpe1aZ+iRtt/jfnhLSyufAiAbuGLZAZ1EvujnNzmIWd4gIt11y9psDgLxoPzKY9qUxA==',
  rsa: 'MIICkzCCAXsCAQAwHTELMAkGA1UEBhMCVVMxDjAMBgNVBAoTBVNQSVJFMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8LKD8RTkFZEFVYj36CZ8NrBK0lWOuB6JtP0g9pp3tqOsH5+rhV/72mtLzCX59Hp7HIzC1om+oYky+/5wTBvfKgPT8xYyrof+LP5LZjDMaNGIW6QMvzg17MhBLlnZSIsutB9qgKHUNj7Y51/C4zjdeUgH1L19A+73TJ8e57mzlKpIL20KpGgDx1g/ecCV5JU1KLOexNxb7kmOsk+MbUNpTeUfZ0l/MtFusI3ALI+jNyEezCzMXp0P6CsgQlwVuyuKo73yxz1OwfvZkXCU25Xz4Yu9xKOLc232DNCosNlUoBEVfTB5n3A6og3HqEk6ZkF14a+/eSLFZ2bfmkV/F+CdzQIDAQABoDEwLwYJKoZIhvcNAQkOMSIwIDAeBgNVHREEFzAVhhNzcGlmZmU6Ly9hLnRlc3Qvd2ViMA0GCSqGSIb3DQEBCwUAA4IBAQCDgt9Vt8uMykxjrHpGFFLip4arPIR64+wJ+C4SSdRzzjI6bsXNvmiCHH81n6M5DBgQcgLAxm4R2K35AUOaCXBNOiAonknJyQ2tdBWCGPbPrpMmOvV4MGnBP9bsn0a6yBvRDWAggpWFOKh61q4u1llHEqlFL9Ke6h5K7Fiec70xH1aJPhPeHf6P5W9eh5N+DgF7LqZnc7S0q7eZkKr941VM/FGEtu21mN9DBHhbe/6zpIkJwrhVIdMKhjFjF+xVderu49KC/k0AIUsIFaJxCq79NVnop6VK0akAGyPBQ3fVHTmDvHfYQQ+pn0OBbtnbqTNjX9T4gmPK57OHzGh37QrZ',
} as const;
const csr = {
  agent: Buffer.from(recorded.agent, 'base64'),
  ec: Buffer.from(recorded.ec, 'base64'),
  rsa: Buffer.from(recorded.rsa, 'base64'),
};

/** The fields of entries that it asks for; what it does not get of these it has not. */
const entryMask = {
  spiffe_id: true,
  selectors: true,
  federates_with: true,
  admin: true,
  downstream: true,
  revision_number: true,
  store_svid: true,
  hint: true,
  additional_attributes: true,
  created_at: true,
};

const like = (fields: object) => expect.objectContaining(fields);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

it('joins with its own kind of request', async () => {
  const { tokens, dial, clock } = await openFleet();
  const { token } = await tokens.create({ ttlSeconds: 60 });
  const stream = dial().stream('Agent.AttestAgent');
  const data = { type: 'join_token', payload: Buffer.from(token) };
  stream.send({ params: { data, params: { csr: csr.agent } } });
  const { svid, reattestable = false } = (await stream.read())?.result ?? {};
  const { spiffeId, leaf } = parseX509Svid(svid?.cert_chain ?? []);
  expect(spiffeId.path).toBe(`/spire/agent/join_token/${token}`);
  expect(svid?.id).toEqual({ trust_domain: 'a.test', path: spiffeId.path });
  expect(hex(leaf.publicKey)).toBe(hex(parseCsr(csr.agent).publicKey));
  expect(leaf.notAfter).toBeGreaterThan(clock.now());
  expect(reattestable).toBe(false);
});

it('polls its entries and the bundle, and tells its version', async () => {
  const { join, dial, entries, agents } = await openFleet();
  const identity = await join('spiffe://a.test/node');
  const below = { parentId: 'spiffe://a.test/node', hint: 'h' };
  const { entry } = await entries.create(testDraft('web', undefined, below));
  const agent = dial(identity);
  const sync = agent.stream('Entry.SyncAuthorizedEntries');
  sync.send({ output_mask: entryMask });
  sync.end();
  const shown = {
    id: entry.id,
    spiffe_id: { trust_domain: 'a.test', path: '/web' },
    selectors: [expect.objectContaining({ type: 'unix' })],
    hint: 'h',
    revision_number: '0',
    created_at: String(Math.floor(entry.createdAt / 1000)),
  };
  expect(await sync.read()).toMatchObject({ entries: expect.arrayContaining([shown].map(like)) });
  expect(await agent.call('Entry.GetAuthorizedEntries', { output_mask: entryMask })).toMatchObject({
    entries: expect.arrayContaining([shown].map(like)),
  });
  expect(await agent.call('Bundle.GetBundle')).toMatchObject({
    trust_domain: 'a.test',
    x509_authorities: [expect.objectContaining({ tainted: false })],
  });
  await agent.call('Agent.PostStatus', { agent_version: '1.15.3' });
  expect([...agents.all].map(({ agentVersion }) => agentVersion)).toEqual(['1.15.3']);
});

it('gets SVIDs for requests with EC and RSA keys, and tokens that say when they were made', async () => {
  const { join, dial, entries } = await openFleet();
  const identity = await join();
  const { entry } = await entries.create(
    testDraft('web', undefined, { parentId: identity.id, dnsNames: ['web.a.test'] }),
  );
  const agent = dial(identity);
  for (const request of [csr.ec, csr.rsa]) {
    const params = [{ entry_id: entry.id, csr: request }];
    const { results } = Object(await agent.call('SVID.BatchNewX509SVID', { params }));
    expect(results).toEqual([like({ status: like({ code: 0 }) })]);
    const { spiffeId, leaf } = parseX509Svid(results[0].svid.cert_chain);
    expect(spiffeId.path).toBe('/web');
    expect(hex(leaf.publicKey)).toBe(hex(parseCsr(request).publicKey));
    expect(leaf.dnsSans).toEqual(['web.a.test']);
  }
  expect(keyTypeOf(csr.rsa)).toBe('rsa');
  const token = await agent.call('SVID.NewJWTSVID', { entry_id: entry.id, audience: ['x'] });
  const { svid } = Object(token);
  expect(svid).toMatchObject({ id: { trust_domain: 'a.test', path: '/web' } });
  expect(Number(svid.issued_at)).toBeGreaterThan(0);
  expect(Number(svid.expires_at)).toBeGreaterThan(Number(svid.issued_at));
});

function keyTypeOf(request: Uint8Array): string | undefined {
  const { publicKey } = parseCsr(request);
  return createPublicKey({ key: Buffer.from(publicKey), format: 'der', type: 'spki' })
    .asymmetricKeyType;
}
