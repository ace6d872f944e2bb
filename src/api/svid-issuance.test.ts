import { describe, expect, it } from 'vitest';
import { FakeAudit } from '../../test/fakes/fake-audit.ts';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { testAgentId, testEntry } from '../../test/fakes/test-entries.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import {
  buildCsr,
  generateP256KeyPair,
  type RegistrationEntry,
  SpiffeId,
  TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { createSvidIssuance, issuanceLimits, type SvidIssuanceOptions } from './svid-issuance.ts';

type SignRequest = Parameters<SvidIssuanceOptions['ca']['issueX509Svid']>[0];

const agentId = SpiffeId.parse(testAgentId);
const keys = generateP256KeyPair();
const csrFor = (id: string) => buildCsr({ ...keys, spiffeId: SpiffeId.parse(id) });
const csr = csrFor('spiffe://a.test/web');
const certificate = Uint8Array.of(1, 2, 3);

function world(...entries: RegistrationEntry[]) {
  const authorized = new Map(entries.map((entry) => [entry.id, entry]));
  const signed: SignRequest[] = [];
  const metrics = createMetrics();
  const audit = new FakeAudit();
  const issuance = createSvidIssuance({
    audit,
    clock: new FakeClock(1500),
    attestationDigestOf: () => 'd1',
    authorizedEntriesOf: (id) =>
      id.equals(agentId) ? { get: (entryId) => authorized.get(entryId) } : undefined,
    ca: {
      async issueX509Svid(request) {
        signed.push(request);
        return {
          certificateChain: [certificate],
          serialNumber: '01',
          authorityId: 'ab',
          notBefore: 1000,
          expiresAt: 2000,
        };
      },
    },
    log: silentLog,
    metrics,
  });
  return { authorized, signed, issuance, metrics, audit };
}

const refusal = (code: string) => ({ error: expect.objectContaining({ code }) });
const granted = {
  spiffeId: SpiffeId.parse('spiffe://a.test/web'),
  certificateChain: [certificate],
  notBefore: 1000,
  expiresAt: 2000,
};

describe('issue', () => {
  it('signs what the entry says for the key of the request', async () => {
    const expiresAtSeconds = 1_900_000_000;
    const more = { x509SvidTtlSeconds: 60, dnsNames: ['w.test'], expiresAtSeconds };
    const { issuance, signed, metrics } = world(testEntry('web', undefined, more));
    expect(await issuance.issue(agentId, [{ entryId: 'web', csr }])).toEqual([granted]);
    expect(signed).toEqual([
      {
        spiffeId: SpiffeId.of(TrustDomain.parse('a.test'), '/web'),
        publicKey: keys.publicKey,
        ttlSeconds: 60,
        dnsNames: ['w.test'],
        notAfterLimit: expiresAtSeconds * 1000,
      },
    ]);
    expect(await metrics.render()).toContain('trustplane_api_svids_total 1');
  });

  it('leaves the lifetime to the authority when the entry sets none', async () => {
    const { issuance, signed } = world(testEntry('web'));
    await issuance.issue(agentId, [{ entryId: 'web', csr }]);
    expect(signed).toEqual([expect.not.objectContaining({ notAfterLimit: expect.anything() })]);
    expect(signed[0]?.ttlSeconds).toBe(0);
  });

  it('signs nothing for an entry the agent is not authorized for', async () => {
    const { issuance, signed, metrics } = world();
    expect(await issuance.issue(agentId, [{ entryId: 'web', csr }])).toEqual([
      refusal('ERR_SVID_ENTRY'),
    ]);
    expect(signed).toEqual([]);
    expect(await metrics.render()).toContain(
      'trustplane_api_svid_refusals_total{code="ERR_SVID_ENTRY"} 1',
    );
  });

  it('signs nothing for an agent that is not attested', async () => {
    const { issuance, signed } = world(testEntry('web'));
    const stranger = SpiffeId.parse('spiffe://a.test/spire/agent/local/other');
    expect(await issuance.issue(stranger, [{ entryId: 'web', csr }])).toEqual([
      refusal('ERR_SVID_ENTRY'),
    ]);
    expect(signed).toEqual([]);
  });

  it('never takes the identity from the request', async () => {
    const { issuance, signed } = world(testEntry('web'));
    const other = csrFor('spiffe://a.test/admin');
    expect(await issuance.issue(agentId, [{ entryId: 'web', csr: other }])).toEqual([
      refusal('ERR_SVID_CSR_ID'),
    ]);
    expect(signed).toEqual([]);
  });

  it('refuses a request that its key has not signed', async () => {
    const { issuance, signed } = world(testEntry('web'));
    const forged = buildCsr({
      publicKey: generateP256KeyPair().publicKey,
      sign: keys.sign,
      spiffeId: SpiffeId.parse('spiffe://a.test/web'),
    });
    const results = await issuance.issue(agentId, [
      { entryId: 'web', csr: forged },
      { entryId: 'web', csr: csr.subarray(1) },
    ]);
    expect(results).toEqual([refusal('ERR_CSR_SIGNATURE'), refusal('ERR_DER')]);
    expect(signed).toEqual([]);
  });

  it('answers item by item, in order', async () => {
    const { issuance } = world(testEntry('web'));
    const requests = ['web', 'none', 'web'].map((entryId) => ({ entryId, csr }));
    expect(await issuance.issue(agentId, requests)).toEqual([
      granted,
      refusal('ERR_SVID_ENTRY'),
      granted,
    ]);
  });

  it('asks again for each item: what is withdrawn meanwhile is refused', async () => {
    const { issuance, authorized } = world(testEntry('web'));
    const requests = Array.from({ length: issuanceLimits.turn + 1 }, () => ({
      entryId: 'web',
      csr,
    }));
    const work = issuance.issue(agentId, requests);
    authorized.delete('web');
    const results = await work;
    expect(results[0]).toEqual(granted);
    expect(results.at(-1)).toEqual(refusal('ERR_SVID_ENTRY'));
  });

  it('records all that a turn signs at once, before it is handed out', async () => {
    const { issuance, audit } = world(testEntry('web'));
    const requests = Array.from({ length: issuanceLimits.turn + 1 }, () => ({
      entryId: 'web',
      csr,
    }));
    await issuance.issue(agentId, [...requests, { entryId: 'none', csr }]);
    expect(audit.calls).toBe(2);
    expect(audit.events).toHaveLength(issuanceLimits.turn + 1);
    expect(audit.events[0]).toEqual({
      kind: 'x509-svid',
      serialNumber: '01',
      spiffeId: 'spiffe://a.test/web',
      issuedAt: 1500,
      expiresAt: 2000,
      authorityId: 'ab',
      entryId: 'web',
      entryRevision: testEntry('web').revisionNumber,
      attestationDigest: 'd1',
      requester: { kind: 'agent', spiffeId: agentId.toString() },
      purpose: 'workload',
    });
  });

  it('hands out nothing that could not be recorded', async () => {
    const { issuance, audit, metrics } = world(testEntry('web'));
    audit.failure = new TrustplaneError('ERR_AUDIT_WRITE', 'no room');
    const results = await issuance.issue(agentId, [
      { entryId: 'web', csr },
      { entryId: 'none', csr },
    ]);
    expect(results).toEqual([refusal('ERR_AUDIT_WRITE'), refusal('ERR_SVID_ENTRY')]);
    expect(await metrics.render()).toContain('trustplane_api_svids_total 0');
  });

  it('keeps what a defect says to itself', async () => {
    const broken = createSvidIssuance({
      audit: new FakeAudit(),
      clock: new FakeClock(),
      attestationDigestOf: () => undefined,
      authorizedEntriesOf: () => ({ get: () => testEntry('web') }),
      ca: {
        issueX509Svid() {
          throw new Error('the key is 42');
        },
      },
      log: silentLog,
      metrics: createMetrics(),
    });
    const [result] = await broken.issue(agentId, [{ entryId: 'web', csr }]);
    expect(result).toEqual({ error: new TrustplaneError('ERR_INTERNAL', 'signing failed') });
  });

  it('refuses a batch above its bound', async () => {
    const { issuance } = world();
    const requests = Array.from({ length: issuanceLimits.batch + 1 }, () => ({
      entryId: 'x',
      csr,
    }));
    await expect(issuance.issue(agentId, requests)).rejects.toEqual(
      expect.objectContaining({ code: 'ERR_SVID_BATCH' }),
    );
  });
});
