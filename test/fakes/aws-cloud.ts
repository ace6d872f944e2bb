import { KeyObject, randomBytes } from 'node:crypto';
import { signAwsCall } from '../../src/attest/node/aws/sign-request.ts';
import { encodePem } from '../../src/spiffe/index.ts';
import {
  type CloudReply,
  type CloudRequest,
  type CloudServer,
  startCloudServer,
} from './cloud-server.ts';
import { inLines, makeSignedMessage } from './signed-message.ts';
import { makeCertificate, rsaKeys } from './test-certificates.ts';

/** An instance of EC2, and what EC2 says of it; a test may change all of it. */
export interface FakeInstance {
  accountId: string;
  region: string;
  instanceId: string;
  pendingTime: string;
  state: string;
  rootDeviceType: string;
  diskAttachedAt: string;
  interfaceAttachedAt: string;
  tags: Record<string, string>;
  owner: string | undefined;
  profile: string | undefined;
}

export interface AwsCloud extends AsyncDisposable {
  readonly instance: FakeInstance;
  /** What is different of others, by ID. */
  readonly others: Map<string, Partial<FakeInstance>>;
  /** Of the machine's own link. */
  readonly imds: CloudServer;
  /** EC2, IAM and STS. */
  readonly api: CloudServer;
  /** Of the region. */
  readonly key: KeyObject;
  /** PEM of its certificate. */
  readonly certificate: string;
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string };
  /** The document of the instance, as it is signed. */
  document(): string;
  /** Whether STS gives roles, by ARN. */
  readonly roles: Set<string>;
}

const START = Date.parse('2026-06-01T00:00:00Z');
const at = (ms: number): string => new Date(START + ms).toISOString().replace('.000', '');

/** A region of AWS with one instance: IMDSv2, and the query APIs with real signatures. */
export async function startAwsCloud(
  tls: { readonly cert: string; readonly key: string },
  now: number = START,
): Promise<AwsCloud> {
  const keys = await rsaKeys(2048);
  const life = {
    notBefore: Math.min(now, START) - 86_400_000,
    notAfter: now + 10 * 365 * 86_400_000,
  };
  const { der } = await makeCertificate({ keys, isCa: true, uris: [], ...life });
  const regionKey = KeyObject.from(keys.privateKey);
  const instance: FakeInstance = {
    accountId: '123456789012',
    region: 'eu-central-1',
    instanceId: 'i-0123456789abcdef0',
    pendingTime: at(-3_600_000),
    state: 'running',
    rootDeviceType: 'ebs',
    diskAttachedAt: at(-3_599_000),
    interfaceAttachedAt: at(-3_600_000),
    tags: { env: 'prod', 'a&b': '<"quoted">' },
    owner: undefined,
    profile: 'arn:aws:iam::123456789012:instance-profile/team/web',
  };
  const others = new Map<string, Partial<FakeInstance>>();
  const find = (instanceId: string): FakeInstance | undefined => {
    if (instanceId === instance.instanceId) return instance;
    const other = others.get(instanceId);
    return other && { ...instance, instanceId, ...other };
  };
  const document = (): string => documentOf(instance);
  const credentials = {
    accessKeyId: 'AKIAFAKE',
    secretAccessKey: randomBytes(20).toString('hex'),
  };
  const session = { ...credentials, sessionToken: randomBytes(16).toString('hex') };
  const roles = new Set<string>();
  const sessions = new Set<string>();
  const imds = await startCloudServer((request) => {
    if (request.path === '/latest/api/token') {
      const isAsked =
        request.method === 'PUT' &&
        request.headers['x-aws-ec2-metadata-token-ttl-seconds'] !== undefined;
      if (!isAsked) return { status: 400 };
      const token = randomBytes(16).toString('base64');
      sessions.add(token);
      return {
        status: 200,
        body: token,
        headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' },
      };
    }
    if (!sessions.has(String(request.headers['x-aws-ec2-metadata-token']))) return { status: 401 };
    const texts: Readonly<Record<string, string>> = {
      'dynamic/instance-identity/document': document(),
      // Of 1,024 bits at AWS; SPIRE's agents want it to be there.
      'dynamic/instance-identity/signature': 'b2xk',
      'dynamic/instance-identity/rsa2048': inLines(
        makeSignedMessage(Buffer.from(document()), regionKey),
      ),
      'meta-data/iam/security-credentials/': 'server-role',
      'meta-data/iam/security-credentials/server-role': JSON.stringify({
        Code: 'Success',
        AccessKeyId: session.accessKeyId,
        SecretAccessKey: session.secretAccessKey,
        Token: session.sessionToken,
        Expiration: new Date(now + 6 * 3_600_000).toISOString(),
      }),
    };
    const body = texts[request.path.replace('/latest/', '')];
    return body === undefined ? { status: 404 } : { status: 200, body };
  });
  const api = await startCloudServer((request) => {
    const known = [credentials, session].some((each) => isSigned(request, each, instance.region));
    if (!known) return failure(403, 'SignatureDoesNotMatch');
    return answer(new URLSearchParams(request.body), { instance, find, roles, session, now });
  }, tls);
  return {
    instance,
    others,
    imds,
    api,
    key: regionKey,
    certificate: encodePem('CERTIFICATE', der),
    credentials,
    document,
    roles,
    async [Symbol.asyncDispose]() {
      await imds[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

/** As AWS writes it. */
export function documentOf(instance: FakeInstance): string {
  const { accountId, region, instanceId, pendingTime } = instance;
  const document = {
    accountId,
    architecture: 'x86_64',
    availabilityZone: `${region}a`,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: 'ami-0123456789abcdef0',
    instanceId,
    instanceType: 't3.micro',
    kernelId: null,
    pendingTime,
    privateIp: '10.0.0.7',
    ramdiskId: null,
    region,
    version: '2017-09-30',
  };
  return JSON.stringify(document, undefined, 2);
}

function isSigned(
  { headers, body }: CloudRequest,
  credentials: {
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly sessionToken?: string;
  },
  region: string,
): boolean {
  const time = String(headers['x-amz-date']);
  const [, y, m, d, h, min, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/u.exec(time) ?? [];
  const now = Date.UTC(Number(y), Number(m) - 1, Number(d), Number(h), Number(min), Number(s));
  const parameters = [...new URLSearchParams(body)];
  const action = parameters.find(([name]) => name === 'Action')?.[1] ?? '';
  const service = { DescribeInstances: 'ec2', GetInstanceProfile: 'iam', AssumeRole: 'sts' }[
    action
  ];
  const call = {
    endpoint: `https://${headers.host}`,
    service: service ?? '',
    region: service === 'iam' ? 'us-east-1' : region,
    parameters,
  };
  if (Number.isNaN(now)) return false;
  return signAwsCall(call, credentials, now).headers['authorization'] === headers.authorization;
}

interface World {
  readonly instance: FakeInstance;
  readonly find: (instanceId: string) => FakeInstance | undefined;
  readonly roles: ReadonlySet<string>;
  readonly session: { accessKeyId: string; secretAccessKey: string; sessionToken: string };
  readonly now: number;
}

function answer(form: URLSearchParams, world: World): CloudReply {
  const { instance, roles, session, now } = world;
  switch (form.get('Action')) {
    case 'DescribeInstances':
      return describe(form, world.find(form.get('InstanceId.1') ?? ''));
    case 'GetInstanceProfile':
      return {
        status: 200,
        body: `<GetInstanceProfileResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><GetInstanceProfileResult><InstanceProfile><Roles><member><Arn>arn:aws:iam::${instance.accountId}:role/${form.get('InstanceProfileName')}-role</Arn></member></Roles></InstanceProfile></GetInstanceProfileResult></GetInstanceProfileResponse>`,
      };
    case 'AssumeRole': {
      if (!roles.has(form.get('RoleArn') ?? '')) return failure(403, 'AccessDenied');
      const { accessKeyId, secretAccessKey, sessionToken } = session;
      const expires = new Date(now + 3_600_000).toISOString();
      return {
        status: 200,
        body: `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>${accessKeyId}</AccessKeyId><SecretAccessKey>${secretAccessKey}</SecretAccessKey><SessionToken>${sessionToken}</SessionToken><Expiration>${expires}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
      };
    }
    default:
      return failure(400, 'InvalidAction');
  }
}

function describe(form: URLSearchParams, instance: FakeInstance | undefined): CloudReply {
  if (instance === undefined) return failure(400, 'InvalidInstanceID.NotFound');
  const states = [form.get('Filter.1.Value.1'), form.get('Filter.1.Value.2')];
  const item = states.includes(instance.state) ? reservation(instance) : '';
  return {
    status: 200,
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet>${item}</reservationSet></DescribeInstancesResponse>`,
  };
}

function reservation(instance: FakeInstance): string {
  const { accountId, owner = accountId, instanceId, rootDeviceType, profile } = instance;
  const tags = Object.entries(instance.tags).map(
    ([key, value]) => `<item><key>${escape(key)}</key><value>${escape(value)}</value></item>`,
  );
  const disk = `<item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId><status>attached</status><attachTime>${instance.diskAttachedAt}</attachTime></ebs></item>`;
  const link = `<item><attachment><deviceIndex>0</deviceIndex><attachTime>${instance.interfaceAttachedAt}</attachTime></attachment></item>`;
  return `<item><reservationId>r-1</reservationId><ownerId>${owner}</ownerId><instancesSet><item>
    <instanceId>${instanceId}</instanceId><instanceState><code>16</code><name>${instance.state}</name></instanceState>
    <groupSet><item><groupId>sg-1</groupId><groupName>web</groupName></item></groupSet>
    <rootDeviceType>${rootDeviceType}</rootDeviceType><rootDeviceName>/dev/xvda</rootDeviceName>
    <blockDeviceMapping>${disk}</blockDeviceMapping><tagSet>${tags.join('')}</tagSet>
    <networkInterfaceSet>${link}</networkInterfaceSet>
    ${profile === undefined ? '' : `<iamInstanceProfile><arn>${profile}</arn><id>AIPA</id></iamInstanceProfile>`}
    </item></instancesSet></item>`;
}

function failure(status: number, code: string): CloudReply {
  return {
    status,
    body: `<Response><Errors><Error><Code>${code}</Code><Message>no</Message></Error></Errors><RequestID>r</RequestID></Response>`,
  };
}

function escape(text: string): string {
  return text.replace(/[&<>"]/gu, (character) => `&#${character.charCodeAt(0)};`);
}
