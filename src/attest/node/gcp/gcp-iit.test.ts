import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCloudTls } from '../../../../test/fakes/cloud-server.ts';
import { FakeClock } from '../../../../test/fakes/fake-clock.ts';
import { type GcpCloud, startGcpCloud } from '../../../../test/fakes/gcp-cloud.ts';
import { makeToken } from '../../../../test/fakes/signed-token.ts';
import { testNow } from '../../../../test/fakes/test-certificates.ts';
import { testTrustDomain } from '../../../../test/fakes/test-entries.ts';
import { describeMutations } from '../../../../test/suites/node-attestor-mutations.ts';
import { tokenMutations } from '../../../../test/suites/token-mutations.ts';
import { silentLog } from '../../../ops/index.ts';
import { formatSelector } from '../../../spiffe/index.ts';
import { askCloud } from '../cloud/ask-cloud.ts';
import { createAskHttp } from '../cloud/ask-http.ts';
import { createKeySource } from '../cloud/key-source.ts';
import type { AttestedNode } from '../node-attestor.ts';
import { createGcpDescribe } from './describe-instance.ts';
import { createGcpIitAttestation } from './gcp-iit-attestation.ts';
import { createGcpIitAttestor, type GcpIitAttestorOptions } from './gcp-iit-attestor.ts';
import { createKeyAccess, createMachineAccess, parseServiceAccountKey } from './google-access.ts';

let tls: Awaited<ReturnType<typeof makeCloudTls>>;
let cloud: GcpCloud;
beforeAll(async () => {
  tls = await makeCloudTls();
  cloud = await startGcpCloud(tls, () => testNow);
});
afterAll(async () => await cloud[Symbol.asyncDispose]());

const noChallenge = async (): Promise<Uint8Array> => await Promise.reject(new Error('asked'));
const texts = ({ selectors }: AttestedNode): readonly string[] => selectors.map(formatSelector);
const asker = (timeoutMs = 5_000) =>
  createAskHttp({ certificateAuthorities: tls.authority, timeoutMs });

function open(options: Partial<GcpIitAttestorOptions> = {}, timeoutMs?: number) {
  const clock = new FakeClock(testNow);
  const fetchKeys = async () =>
    await askCloud(asker(timeoutMs), `${cloud.api.origin}/oauth2/v3/certs`);
  const attestor = createGcpIitAttestor({
    trustDomain: testTrustDomain,
    projects: new Set(['prod-1234']),
    keys: createKeySource({ fetchKeys, issuer: 'Google', clock, log: silentLog }),
    clock,
    log: silentLog,
    ...options,
  });
  return { attestor, clock };
}

const metadataOptions = () => ({ endpoint: cloud.metadata.origin, serviceAccount: 'default' });
const payload = async (): Promise<Uint8Array> =>
  (await createGcpIitAttestation(createAskHttp(), metadataOptions()).begin()).payload;

/** How the Compute Engine API is asked, by the server's own machine or an account of its own. */
function describeBy(who: 'machine' | 'account', maxValueBytes = 128) {
  const clock = new FakeClock(testNow);
  const key = parseServiceAccountKey(Buffer.from(cloud.serviceAccountFile));
  const token =
    who === 'account'
      ? createKeyAccess(asker(), clock, key)
      : createMachineAccess(createAskHttp(), clock, cloud.metadata.origin);
  const [labels, metadata] = [new Set(['env']), new Set(['role', 'flag'])];
  const endpoint = cloud.api.origin;
  return createGcpDescribe({ ask: asker(), token, endpoint, labels, metadata, maxValueBytes });
}

describe('an instance of Compute Engine', () => {
  it('joins once, with the ID and selectors that SPIRE gives it', async () => {
    const node = await open().attestor.attest(await payload(), noChallenge);
    expect(node).toMatchObject({
      agentPath: '/spire/agent/gcp_iit/prod-1234/8087716956832600000',
      canReattest: false,
      isFirstUseOnly: true,
    });
    expect(texts(node)).toEqual([
      'gcp_iit:instance-name:web-1',
      'gcp_iit:project-id:prod-1234',
      'gcp_iit:sa:1234-compute@developer.gserviceaccount.com',
      'gcp_iit:zone:europe-west3-a',
    ]);
  });

  it.each(['machine', 'account'] as const)(
    'is asked about by the %s of the server',
    async (who) => {
      const { attestor } = open({ describe: describeBy(who) });
      const shown = await payload();
      expect(texts(await attestor.attest(shown, noChallenge))).toEqual(
        expect.arrayContaining([
          'gcp_iit:tag:http',
          'gcp_iit:tag:blue',
          'gcp_iit:label:env:prod',
          'gcp_iit:metadata:role:web',
          'gcp_iit:metadata:flag:',
        ]),
      );
      expect(texts(await attestor.attest(shown, noChallenge)).join()).not.toContain('secret');
    },
  );

  it('may not join when its name is of another by now, or its metadata too long, or it is gone', async () => {
    const shown = await payload();
    const attempt = async (change: object | undefined, maxValueBytes?: number) => {
      const { resource } = cloud;
      cloud.resource = change && { ...resource, ...change };
      const { attestor } = open({ describe: describeBy('machine', maxValueBytes) });
      return await attestor.attest(shown, noChallenge).finally(() => {
        cloud.resource = resource;
      });
    };
    const instance = { code: 'ERR_NODE_ATTEST_INSTANCE' };
    await expect(attempt({ id: '1' })).rejects.toMatchObject(instance);
    await expect(attempt({}, 2)).rejects.toMatchObject(instance);
    await expect(attempt(undefined)).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_CLOUD' });
  });

  it('is known by what the template says', async () => {
    const agentPathTemplate = '/gcp_iit/{{ .ServiceAccount }}/{{ .Zone }}/{{ .InstanceName }}';
    const { agentPath } = await open({ agentPathTemplate }).attestor.attest(
      await payload(),
      noChallenge,
    );
    expect(agentPath).toBe(
      '/spire/agent/gcp_iit/1234-compute_developer.gserviceaccount.com/europe-west3-a/web-1',
    );
  });
});

describe("Google's keys", () => {
  const next = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const shownWith = (kid: string, key = next): Buffer =>
    Buffer.from(makeToken(key, kid, cloud.claims()));
  const count = (): number => cloud.api.calls.filter((call) => call.includes('certs')).length;

  it('are fetched once for many, and anew for one that is not known, but not at once', async () => {
    const { attestor, clock } = open();
    const before = count();
    const shown = await payload();
    await Promise.all([1, 2, 3].map(() => attestor.attest(shown, noChallenge)));
    expect(count() - before).toBe(1);
    await expect(attestor.attest(shownWith('google-2'), noChallenge)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_KEY',
    });
    expect(count() - before).toBe(1);
    clock.advance(30_000);
    cloud.keys.set('google-2', next);
    await expect(attestor.attest(shownWith('google-2'), noChallenge)).resolves.toBeDefined();
    expect(count() - before).toBe(2);
    cloud.keys.delete('google-2');
  });

  it('that Google took back verify nothing an hour later', async () => {
    cloud.keys.set('google-3', next);
    const { attestor, clock } = open();
    await expect(attestor.attest(shownWith('google-3'), noChallenge)).resolves.toBeDefined();
    cloud.keys.delete('google-3');
    clock.advance(3_600_001);
    const iat = testNow / 1000 + 3_600;
    const claims = { ...cloud.claims(), iat, exp: iat + 3_600 };
    const shown = Buffer.from(makeToken(next, 'google-3', claims));
    await expect(attestor.attest(shown, noChallenge)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_KEY',
    });
  });

  it('outlive an outage of a day, and no longer', async () => {
    const { attestor, clock } = open();
    const shown = await payload();
    await attestor.attest(shown, noChallenge);
    cloud.api.break(500, 'certs');
    try {
      const at = async (seconds: number) => {
        const iat = testNow / 1000 + seconds;
        const claims = { ...cloud.claims(), iat, exp: iat + 3_600 };
        const token = makeToken(cloud.key, 'google-1', claims);
        return await attestor.attest(Buffer.from(token), noChallenge);
      };
      clock.advance(23 * 3_600_000);
      await expect(at(23 * 3_600)).resolves.toBeDefined();
      clock.advance(2 * 3_600_000);
      await expect(at(25 * 3_600)).rejects.toMatchObject({ code: 'ERR_NODE_ATTEST_KEYS' });
    } finally {
      cloud.api.break(undefined);
    }
  });

  it.each(['hang', 'garbage', 'flood', 'redirect', 'reset', 429, 500] as const)(
    'cannot be had from who answers with %s',
    async (fault) => {
      const shown = await payload();
      const { attestor } = open({}, 300);
      cloud.api.break(fault, 'certs');
      const attempt = attestor.attest(shown, noChallenge);
      await expect(attempt.finally(() => cloud.api.break(undefined))).rejects.toMatchObject({
        code: 'ERR_NODE_ATTEST_KEYS',
      });
      expect(cloud.api.flooded()).toBeLessThan(32 * 1024 * 1024);
    },
  );
});

const engine = (change: object) => () =>
  Buffer.from(makeToken(cloud.key, 'google-1', cloud.claims(change)));

describeMutations<Uint8Array>('gcp_iit', async () => {
  const { attestor } = open();
  return {
    document: await payload(),
    attest: async (shown) => await attestor.attest(shown, noChallenge),
  };
}, [
  ...tokenMutations({
    key: () => cloud.key,
    keyId: 'google-1',
    claims: () => cloud.claims(),
    wrap: (token) => Buffer.from(token),
  }),
  {
    what: 'bytes that are no text',
    mutate: () => Buffer.from([0xff, 0xfe]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'no token',
  },
  {
    what: 'another project',
    mutate: engine({ project_id: 'other-1' }),
    code: 'ERR_NODE_ATTEST_ACCOUNT',
    reason: 'the project other-1',
  },
  {
    what: 'being of a person',
    mutate: () =>
      Buffer.from(makeToken(cloud.key, 'google-1', { ...cloud.claims(), google: undefined })),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: 'lacks google.compute_engine',
  },
  {
    what: 'an instance that is a path',
    mutate: engine({ instance_id: '../1' }),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: "the token's instance_id",
  },
  {
    what: 'a zone that is a path',
    mutate: engine({ zone: 'a/b' }),
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: "the token's zone",
  },
  {
    what: 'an email that nobody verified',
    mutate: () => {
      const claims = { ...cloud.claims(), email_verified: false };
      return Buffer.from(makeToken(cloud.key, 'google-1', claims));
    },
    code: 'ERR_NODE_ATTEST_CLAIMS',
    reason: 'not said to be verified',
  },
]);

it.each([
  ['hang', 'no answer within'],
  ['flood', 'bytes'],
  [500, 'status 500'],
] as const)('does not begin where the metadata server answers with %s', async (fault, message) => {
  cloud.metadata.break(fault);
  const begun = createGcpIitAttestation(
    createAskHttp({ timeoutMs: 300 }),
    metadataOptions(),
  ).begin();
  await expect(begun.finally(() => cloud.metadata.break(undefined))).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_CLOUD',
    message: expect.stringContaining(message),
  });
});
