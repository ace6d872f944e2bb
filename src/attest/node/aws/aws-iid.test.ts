import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type AwsCloud,
  documentOf,
  type FakeInstance,
  startAwsCloud,
} from '../../../../test/fakes/aws-cloud.ts';
import { makeCloudTls } from '../../../../test/fakes/cloud-server.ts';
import { FakeClock } from '../../../../test/fakes/fake-clock.ts';
import {
  inLines,
  type MessageOptions,
  makeSignedMessage,
} from '../../../../test/fakes/signed-message.ts';
import { testNow } from '../../../../test/fakes/test-certificates.ts';
import { testTrustDomain } from '../../../../test/fakes/test-entries.ts';
import { describeMutations } from '../../../../test/suites/node-attestor-mutations.ts';
import { silentLog } from '../../../ops/index.ts';
import { formatSelector } from '../../../spiffe/index.ts';
import { createAskHttp } from '../cloud/ask-http.ts';
import type { AttestedNode } from '../node-attestor.ts';
import { createAwsApi } from './aws-api.ts';
import { createInstanceRole, parseCredentialsFile } from './aws-credentials.ts';
import { createAwsIidAttestation } from './aws-iid-attestation.ts';
import {
  type AwsIidAttestorOptions,
  createAwsIidAttestor,
  type RegionKey,
} from './aws-iid-attestor.ts';
import { createImds } from './imds.ts';

const MINUTE_MS = 60_000;
const { privateKey: otherKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
let tls: Awaited<ReturnType<typeof makeCloudTls>>;
let cloud: AwsCloud;
let regionKey: RegionKey;
let pristine: FakeInstance;

beforeAll(async () => {
  tls = await makeCloudTls();
  cloud = await startAwsCloud(tls, testNow);
  const { publicKey, validToDate } = new X509Certificate(cloud.certificate);
  regionKey = { publicKey, notAfter: validToDate.getTime() };
  pristine = structuredClone(cloud.instance);
});
afterAll(async () => await cloud[Symbol.asyncDispose]());

/** An attestor of the region, with the credentials of a user. */
function open(
  options: Partial<AwsIidAttestorOptions> = {},
  timeoutMs = 5_000,
  assumeRole?: string,
) {
  Object.assign(cloud.instance, structuredClone(pristine));
  const clock = new FakeClock(testNow);
  const { origin } = cloud.api;
  const api = createAwsApi({
    ask: createAskHttp({ certificateAuthorities: tls.authority, timeoutMs }),
    clock,
    credentials: async () => cloud.credentials,
    assumeRole,
    endpoints: { ec2: origin, iam: origin, sts: origin },
  });
  return createAwsIidAttestor({
    trustDomain: testTrustDomain,
    accounts: new Set([pristine.accountId]),
    keys: new Map([[pristine.region, [regionKey]]]),
    api,
    clock,
    log: silentLog,
    ...options,
  });
}

const noChallenge = async (): Promise<Uint8Array> => await Promise.reject(new Error('asked'));
const metadata = () => createImds(createAskHttp(), cloud.imds.origin);
const payload = async (): Promise<Uint8Array> =>
  (await createAwsIidAttestation(metadata()).begin()).payload;
const texts = ({ selectors }: AttestedNode): readonly string[] => selectors.map(formatSelector);

describe('an instance of EC2', () => {
  it('joins once, with the ID and selectors that SPIRE gives it', async () => {
    const node = await open().attest(await payload(), noChallenge);
    expect(node).toMatchObject({
      agentPath: '/spire/agent/aws_iid/123456789012/eu-central-1/i-0123456789abcdef0',
      canReattest: false,
      isFirstUseOnly: true,
    });
    expect(texts(node)).toEqual([
      'aws_iid:account_id:123456789012',
      'aws_iid:az:eu-central-1a',
      'aws_iid:iamrole:arn:aws:iam::123456789012:role/web-role',
      'aws_iid:image:id:ami-0123456789abcdef0',
      'aws_iid:instance:id:i-0123456789abcdef0',
      'aws_iid:region:eu-central-1',
      'aws_iid:sg:id:sg-1',
      'aws_iid:sg:name:web',
      'aws_iid:tag:a&b:<"quoted">',
      'aws_iid:tag:env:prod',
    ]);
  });

  it('is known by tags where the template says so', async () => {
    const attestor = open({ agentPathTemplate: '/aws_iid/{{ .Tags.env }}/{{ .InstanceID }}' });
    const { agentPath } = await attestor.attest(await payload(), noChallenge);
    expect(agentPath).toBe('/spire/agent/aws_iid/prod/i-0123456789abcdef0');
    cloud.instance.tags = {};
    await expect(attestor.attest(await payload(), noChallenge)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_PATH',
    });
  });

  it('joins from any account where that is said, and without roles', async () => {
    const attestor = open({ accounts: undefined, roleSelectors: false });
    cloud.instance.accountId = '999999999999';
    const node = await attestor.attest(await payload(), noChallenge);
    expect(texts(node)).toContain('aws_iid:account_id:999999999999');
    expect(texts(node).join()).not.toContain('iamrole');
  });

  it('joins with an instance store, or another disk where that is said', async () => {
    const strict = open();
    cloud.instance.rootDeviceType = 'instance-store';
    cloud.instance.diskAttachedAt = '2026-06-01T00:00:00Z';
    await expect(strict.attest(await payload(), noChallenge)).resolves.toBeDefined();
    const lax = open({ skipBlockDevice: true });
    cloud.instance.diskAttachedAt = '2026-06-01T00:00:00Z';
    await expect(lax.attest(await payload(), noChallenge)).resolves.toBeDefined();
  });

  it('is asked about with a role of its account, taken on once', async () => {
    const attestor = open({}, 5_000, 'describe');
    await expect(attestor.attest(await payload(), noChallenge)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CLOUD',
      message: expect.stringContaining('AccessDenied'),
    });
    cloud.roles.add('arn:aws:iam::123456789012:role/describe');
    const before = cloud.api.calls.length;
    await attestor.attest(await payload(), noChallenge);
    await attestor.attest(await payload(), noChallenge);
    expect(cloud.api.calls.length - before).toBe(5);
  });

  it('takes a document that is signed without attributes', async () => {
    const { document, message } = signed({ isBare: true });
    await expect(open().attest(encode(document, message), noChallenge)).resolves.toBeDefined();
  });
});

describe('credentials of a server', () => {
  it('are those of the role of its instance, kept until shortly before they end', async () => {
    const clock = new FakeClock(testNow);
    const load = createInstanceRole(metadata(), clock);
    const first = await load();
    expect(first).toMatchObject({ accessKeyId: 'AKIAFAKE', sessionToken: expect.any(String) });
    const before = cloud.imds.calls.length;
    expect(await load()).toEqual(first);
    expect(cloud.imds.calls.length).toBe(before);
    clock.advance(6 * 60 * MINUTE_MS);
    await load();
    expect(cloud.imds.calls.length).toBeGreaterThan(before);
  });

  it('are read from a file as AWS keeps it', () => {
    const file =
      '# mine\n[other]\naws_access_key_id = X\n[default]\naws_access_key_id = A\naws_secret_access_key=b=\n';
    expect(parseCredentialsFile(file)).toEqual({
      accessKeyId: 'A',
      secretAccessKey: 'b=',
      sessionToken: undefined,
    });
    expect(() => parseCredentialsFile('[other]\naws_access_key_id = X')).toThrow('lacks');
  });
});

describe.each([
  ['hangs', 'hang', 'no answer within'],
  ['answers garbage', 'garbage', 'XML'],
  ['sends 100 MB', 'flood', 'bytes'],
  ['sends elsewhere', 'redirect', 'status 302'],
  ['has too many requests', 429, '429'],
  ['fails', 500, '500'],
  ['hangs up', 'reset', 'socket hang up'],
] as const)('an EC2 that %s', (_, fault, message) => {
  it('is a passing failure', async () => {
    const attestor = open({}, 300);
    const evidence = await payload();
    cloud.api.break(fault);
    const attempt = attestor.attest(evidence, noChallenge);
    await expect(attempt.finally(() => cloud.api.break(undefined))).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_CLOUD',
      message: expect.stringContaining(message),
    });
    expect(cloud.api.flooded()).toBeLessThan(32 * 1024 * 1024);
  });
});

it.each([
  ['hang', 'hop limit'],
  ['garbage', 'no session token'],
  ['flood', 'bytes'],
  [403, 'status 403'],
] as const)('does not begin where the metadata service answers with %s', async (fault, message) => {
  const imds = createImds(createAskHttp({ timeoutMs: 300 }), cloud.imds.origin);
  cloud.imds.break(fault);
  const begun = createAwsIidAttestation(imds).begin();
  await expect(begun.finally(() => cloud.imds.break(undefined))).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_CLOUD',
    message: expect.stringContaining(message),
  });
});

/** What a node shows, in parts that a test may change. */
interface Shown {
  document: string;
  message: Buffer;
}

function signed(options: MessageOptions = {}, change: Partial<FakeInstance> = {}): Shown {
  const document = documentOf({ ...pristine, ...change });
  return { document, message: makeSignedMessage(Buffer.from(document), cloud.key, options) };
}

const encode = (document: string, message: Uint8Array): Buffer =>
  Buffer.from(JSON.stringify({ document, signature: '', rsa2048: inLines(message) }));
/** The document with another text in it, signed by AWS. */
const resigned = (from: string | RegExp, to: string): Uint8Array => {
  const document = documentOf(pristine).replace(from, to);
  return encode(document, makeSignedMessage(Buffer.from(document), cloud.key));
};
const shownOf = ({ document, message }: Shown): Uint8Array => encode(document, message);
/** A good document about an instance of which EC2 says something else. */
const otherwise = (change: Partial<FakeInstance>) => (): Uint8Array => {
  const instanceId = `i-${(cloud.others.size + 1).toString(16).padStart(17, '0')}`;
  cloud.others.set(instanceId, change);
  return shownOf(signed({}, { instanceId }));
};

describeMutations<Uint8Array>('aws_iid', async () => {
  const attestor = open({ maxInstanceAgeMs: 24 * 60 * MINUTE_MS });
  const { document, message } = signed();
  return {
    document: encode(document, message),
    attest: async (shown) => await attestor.attest(shown, noChallenge),
  };
}, [
  {
    what: 'no JSON',
    mutate: () => Buffer.from('x'),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'malformed JSON',
  },
  {
    what: 'too many bytes',
    mutate: (valid) => Buffer.concat([valid, Buffer.alloc(70_000, 0x20)]),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'bytes; at most',
  },
  {
    what: 'two documents',
    mutate: (valid) => Buffer.from(valid.toString().replace('{', '{"document":"x",')),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'duplicate member name',
  },
  {
    what: 'no document',
    mutate: () => Buffer.from('{"rsa2048":"AAAA"}'),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'expected an object with the texts',
  },
  {
    what: 'only the signature with 1024 bits',
    mutate: () =>
      Buffer.from(JSON.stringify({ document: documentOf(pristine), signature: 'AA==' })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'no signature with RSA-2048',
  },
  {
    what: 'a signature that is not base64',
    mutate: () => Buffer.from(JSON.stringify({ document: '{}', rsa2048: '****' })),
    code: 'ERR_NODE_ATTEST_PAYLOAD',
    reason: 'not base64',
  },
  {
    what: 'a signature cut short',
    mutate: () => shownOf({ ...signed(), message: signed().message.subarray(0, 300) }),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'are there',
  },
  {
    what: 'another document beside a good signature',
    mutate: () =>
      shownOf({
        ...signed(),
        document: documentOf({ ...pristine, instanceId: 'i-00000000000000001' }),
      }),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'not the one that is signed',
  },
  {
    what: 'the signature of another key',
    mutate: () => {
      const { document } = signed();
      return encode(document, makeSignedMessage(Buffer.from(document), otherKey));
    },
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'AWS did not sign',
  },
  {
    what: 'a digest of other content',
    mutate: () => shownOf(signed({ digestOf: Buffer.from('other') })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'digest that is signed is of other content',
  },
  {
    what: 'two digests',
    mutate: () => shownOf(signed({ digestTwice: true })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'comes twice',
  },
  {
    what: 'SHA-1',
    mutate: () => shownOf(signed({ digestOid: '1.3.14.3.2.26', hash: 'sha1' })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'expected RSA with SHA-256',
  },
  {
    what: 'two signers',
    mutate: () => shownOf(signed({ signers: 2 })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'of which there may be one',
  },
  {
    what: 'a signature of attributes about another type',
    mutate: () => shownOf(signed({ contentType: '1.2.840.113549.1.7.2' })),
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    reason: 'signed content type is',
  },
  {
    what: 'a region without certificate',
    mutate: () => shownOf(signed({}, { region: 'us-east-1' })),
    code: 'ERR_NODE_ATTEST_REGION',
    reason: 'nodes of us-east-1 may not join',
  },
  {
    what: 'another account',
    mutate: () => shownOf(signed({}, { accountId: '999999999999' })),
    code: 'ERR_NODE_ATTEST_ACCOUNT',
    reason: 'the account 999999999999',
  },
  {
    what: 'an instance of the future',
    mutate: () => shownOf(signed({}, { pendingTime: '2027-01-01T00:00:00Z' })),
    code: 'ERR_NODE_ATTEST_TIME',
    reason: 'of the future',
  },
  {
    what: 'an instance that is too old: a document that was kept',
    mutate: () => shownOf(signed({}, { pendingTime: '2026-01-01T00:00:00Z' })),
    code: 'ERR_NODE_ATTEST_TIME',
    reason: 'was launched',
  },
  {
    what: 'two accounts in the signed document',
    mutate: () => resigned('{', '{"accountId":"123456789012",'),
    code: 'ERR_NODE_ATTEST_DOCUMENT',
    reason: 'duplicate member name',
  },
  {
    what: 'an account that is a number',
    mutate: () => resigned('"123456789012"', '123456789012'),
    code: 'ERR_NODE_ATTEST_DOCUMENT',
    reason: 'accountId is a text',
  },
  {
    what: 'a region that is a host',
    mutate: () => resigned('"eu-central-1"', '"evil.example/"'),
    code: 'ERR_NODE_ATTEST_DOCUMENT',
    reason: 'region is a text',
  },
  {
    what: 'an instance that is a path',
    mutate: () => resigned('"i-0123456789abcdef0"', '"../x"'),
    code: 'ERR_NODE_ATTEST_DOCUMENT',
    reason: 'instanceId is a text',
  },
  {
    what: 'an instance that EC2 does not know',
    mutate: () => shownOf(signed({}, { instanceId: 'i-0000000000000dead' })),
    code: 'ERR_NODE_ATTEST_INSTANCE',
    reason: 'InvalidInstanceID.NotFound',
  },
  {
    what: 'an instance that is terminated: a document that outlived it',
    mutate: otherwise({ state: 'terminated' }),
    code: 'ERR_NODE_ATTEST_INSTANCE',
    reason: 'names none',
  },
  {
    what: 'an instance of another owner',
    mutate: otherwise({ owner: '999999999999' }),
    code: 'ERR_NODE_ATTEST_INSTANCE',
    reason: 'about another one',
  },
  {
    what: 'another root disk than it was launched with',
    mutate: otherwise({ diskAttachedAt: '2026-06-01T00:00:00Z' }),
    code: 'ERR_NODE_ATTEST_INSTANCE',
    reason: 'apart from its first network interface',
  },
]);

it('refuses a document when all certificates of its region have expired', async () => {
  const attestor = open({
    keys: new Map([[pristine.region, [{ ...regionKey, notAfter: testNow }]]]),
  });
  await expect(attestor.attest(await payload(), noChallenge)).rejects.toMatchObject({
    code: 'ERR_NODE_ATTEST_SIGNATURE',
    message: expect.stringContaining('all expired'),
  });
});

it('tries each certificate of a region that is changing keys', async () => {
  const next = { publicKey: createPublicKey(otherKey), notAfter: regionKey.notAfter };
  const attestor = open({ keys: new Map([[pristine.region, [next, regionKey]]]) });
  await expect(attestor.attest(await payload(), noChallenge)).resolves.toBeDefined();
});
