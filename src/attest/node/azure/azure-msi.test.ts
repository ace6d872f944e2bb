import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  APP_SECRET,
  APPLICATION,
  type AzureCloud,
  PRINCIPAL,
  SUBSCRIPTION,
  startAzureCloud,
  TENANT,
} from '../../../../test/fakes/azure-cloud.ts';
import { makeCloudTls } from '../../../../test/fakes/cloud-server.ts';
import { FakeClock } from '../../../../test/fakes/fake-clock.ts';
import { makeToken } from '../../../../test/fakes/signed-token.ts';
import { testNow } from '../../../../test/fakes/test-certificates.ts';
import { testTrustDomain } from '../../../../test/fakes/test-entries.ts';
import { describeMutations } from '../../../../test/suites/node-attestor-mutations.ts';
import { tokenMutations } from '../../../../test/suites/token-mutations.ts';
import { silentLog } from '../../../ops/index.ts';
import { formatSelector } from '../../../spiffe/index.ts';
import { createAskHttp } from '../cloud/ask-http.ts';
import { createKeySource } from '../cloud/key-source.ts';
import type { AttestedNode } from '../node-attestor.ts';
import { describeMachine } from './arm-api.ts';
import { createApplicationAccess, createAzureMachineAccess } from './azure-access.ts';
import { createAzureMsiAttestation } from './azure-msi-attestation.ts';
import { createAzureMsiAttestor } from './azure-msi-attestor.ts';
import { fetchTenantKeys } from './tenant-keys.ts';

const resourceId = 'https://management.azure.com/';
let tls: Awaited<ReturnType<typeof makeCloudTls>>;
let cloud: AzureCloud;
beforeAll(async () => {
  tls = await makeCloudTls();
  cloud = await startAzureCloud(tls, () => testNow);
});
afterAll(async () => await cloud[Symbol.asyncDispose]());

const noChallenge = async (): Promise<Uint8Array> => await Promise.reject(new Error('asked'));
const texts = ({ selectors }: AttestedNode): readonly string[] => selectors.map(formatSelector);

function open(who?: 'machine' | 'application', timeoutMs = 5_000) {
  const clock = new FakeClock(testNow);
  const ask = createAskHttp({ certificateAuthorities: tls.authority, timeoutMs });
  const { origin } = cloud.api;
  const application = { tenantId: TENANT, appId: APPLICATION, loadSecret: async () => APP_SECRET };
  const token =
    who === 'application'
      ? createApplicationAccess(ask, clock, { authority: origin, armEndpoint: origin, application })
      : createAzureMachineAccess(createAskHttp(), clock, {
          metadataEndpoint: cloud.metadata.origin,
          armEndpoint: origin,
        });
  const arm = { ask, token, endpoint: origin, subscriptionId: SUBSCRIPTION };
  const tenant = {
    resourceId,
    issuers: [`https://sts.windows.net/${TENANT}/`, `${origin}/${TENANT}/v2.0`],
    keys: createKeySource({
      fetchKeys: async () => await fetchTenantKeys(ask, origin, TENANT),
      issuer: `the tenant ${TENANT}`,
      clock,
      log: silentLog,
    }),
    describe: who && (async (principal: string) => await describeMachine(arm, principal)),
  };
  return createAzureMsiAttestor({
    trustDomain: testTrustDomain,
    tenants: new Map([[TENANT, tenant]]),
    clock,
    log: silentLog,
  });
}

const payload = async (): Promise<Uint8Array> => {
  const options = { endpoint: cloud.metadata.origin, resourceId };
  return (await createAzureMsiAttestation(createAskHttp(), options).begin()).payload;
};
const shownWith = (change: object): Buffer =>
  wrap(makeToken(cloud.key, 'tenant-1', { ...cloud.claims(), ...change }));
const wrap = (token: string): Buffer => Buffer.from(JSON.stringify({ token }));

describe('a machine of Azure', () => {
  it('joins once, with the ID that SPIRE gives it and what its token says', async () => {
    const node = await open().attest(await payload(), noChallenge);
    expect(node).toMatchObject({
      agentPath: `/spire/agent/azure_msi/${TENANT}/${PRINCIPAL}`,
      canReattest: false,
      isFirstUseOnly: true,
    });
    expect(texts(node)).toEqual([
      `azure_msi:subscription-id:${SUBSCRIPTION}`,
      'azure_msi:vm-name:Prod:web-1',
    ]);
  });

  it('joins with a token of the second version', async () => {
    const shown = shownWith({ iss: `${cloud.api.origin}/${TENANT}/v2.0`, ver: '2.0' });
    await expect(open().attest(shown, noChallenge)).resolves.toBeDefined();
  });

  it.each(['machine', 'application'] as const)(
    'is asked about by the %s of the server',
    async (who) => {
      const node = await open(who).attest(await payload(), noChallenge);
      expect(texts(node)).toEqual([
        'azure_msi:network-security-group:Prod:web-nsg',
        `azure_msi:subscription-id:${SUBSCRIPTION}`,
        'azure_msi:virtual-network-subnet:Prod:net:front',
        'azure_msi:virtual-network:Prod:net',
        'azure_msi:vm-name:Prod:web-1',
      ]);
    },
  );

  it('may not join when Azure knows no machine of it, or two, or one with an odd name', async () => {
    const [machine = ''] = cloud.machines;
    const attempt = async (...machines: readonly string[]) => {
      cloud.machines.splice(0, 8, ...machines);
      const attested = open('machine').attest(await payload(), noChallenge);
      return await attested.finally(() => cloud.machines.splice(0, 8, machine));
    };
    const instance = { code: 'ERR_NODE_ATTEST_INSTANCE' };
    await expect(attempt()).rejects.toMatchObject(instance);
    await expect(attempt(machine, machine)).rejects.toMatchObject(instance);
    await expect(attempt(`${machine}/../x`)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CLOUD',
    });
  });

  it('is found on a later page, and nowhere else than at Azure', async () => {
    const attempt = async (page: string) => {
      cloud.nextPage = page;
      const attested = open('machine').attest(await payload(), noChallenge);
      return await attested.finally(() => {
        cloud.nextPage = undefined;
      });
    };
    const filter = encodeURIComponent(`identity/principalId eq '${PRINCIPAL}'`);
    const query = `api-version=2021-04-01&$filter=${filter}&$skiptoken=1`;
    const base = `${cloud.api.origin}/subscriptions/${SUBSCRIPTION}/resources`;
    expect(texts(await attempt(`${base}?${query}`))).toContain('azure_msi:vm-name:Prod:web-1');
    const odd = { code: 'ERR_NODE_ATTEST_CLOUD', message: expect.stringContaining('next page') };
    await expect(attempt(`https://evil.example/?${query}`)).rejects.toMatchObject(odd);
    await expect(attempt(`${base}?api-version=2021-04-01`)).rejects.toMatchObject({
      message: expect.stringContaining('pages'),
    });
  });

  it.each(['hang', 'garbage', 'flood', 'redirect', 'reset', 429, 500] as const)(
    'waits while Azure Resource Manager answers with %s',
    async (fault) => {
      const attestor = open('machine', 300);
      const shown = await payload();
      cloud.api.break(fault, '/subscriptions/');
      const attempt = attestor.attest(shown, noChallenge);
      await expect(attempt.finally(() => cloud.api.break(undefined))).rejects.toMatchObject({
        code: 'ERR_NODE_ATTEST_CLOUD',
      });
    },
  );
});

describe('the keys of a tenant', () => {
  it.each([
    ['issuer', 'https://login.evil.example/x/v2.0'],
    ['jwks_uri', 'https://keys.evil.example/keys'],
  ])('are not fetched by a configuration with another %s', async (name, value) => {
    const before = cloud.configuration[name];
    cloud.configuration[name] = value;
    const attempt = open().attest(await payload(), noChallenge);
    await expect(
      attempt.finally(() => {
        cloud.configuration[name] = before;
      }),
    ).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_KEYS' });
  });
});

describeMutations<Uint8Array>('azure_msi', async () => {
  const attestor = open();
  return {
    document: await payload(),
    attest: async (shown) => await attestor.attest(shown, noChallenge),
  };
}, [
  ...tokenMutations({
    key: () => cloud.key,
    keyId: 'tenant-1',
    claims: () => cloud.claims(),
    wrap,
  }),
  {
    what: 'no JSON',
    mutate: () => Buffer.from('x'),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'cannot be read',
  },
  {
    what: 'two tokens',
    mutate: (valid) => Buffer.from(valid.toString().replace('{', '{"token":"x",')),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'duplicate member name',
  },
  {
    what: 'no token',
    mutate: () => Buffer.from('{}'),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'no object with a text token',
  },
  {
    what: 'another tenant',
    mutate: () => shownWith({ tid: '99999999-9999-4999-8999-999999999999' }),
    code: 'ERR_NODE_ATTEST_ACCOUNT',
    reason: 'the tenant 9999',
  },
  {
    what: 'a tenant that is a host',
    mutate: () => shownWith({ tid: 'evil.example' }),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: "the token's tid",
  },
  {
    what: 'being of a person',
    mutate: () => shownWith({ sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ' }),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: 'its sub is not its oid',
  },
  {
    what: 'being of an application',
    mutate: () => shownWith({ xms_mirid: undefined }),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: "the token's xms_mirid",
  },
  {
    what: 'an identity that many machines may hold',
    mutate: () => {
      const provider = 'Microsoft.ManagedIdentity/userAssignedIdentities/shared';
      const group = `/subscriptions/${SUBSCRIPTION}/resourcegroups/Prod/providers`;
      return shownWith({ xms_mirid: `${group}/${provider}` });
    },
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: "not a machine's own",
  },
]);
