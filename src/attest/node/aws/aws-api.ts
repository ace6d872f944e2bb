import { type Clock, messageOf } from '../../../spiffe/index.ts';
import { answerOf, failed } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import {
  keepCredentials,
  type LoadCredentials,
  type PassingCredentials,
} from './aws-credentials.ts';
import { parseAwsXml, textAt, type XmlElement } from './aws-xml.ts';
import { signAwsCall } from './sign-request.ts';

/** Where AWS is spoken to; what is left out is where AWS documents it. `https://host[:port]` */
export interface AwsEndpoints {
  readonly ec2?: string | undefined;
  readonly iam?: string | undefined;
  readonly sts?: string | undefined;
}

export interface AwsApiOptions {
  readonly ask: AskHttp;
  readonly clock: Clock;
  /** Of this server. */
  readonly credentials: LoadCredentials;
  /** Name of a role in each account, which this server takes on there. */
  readonly assumeRole?: string | undefined;
  readonly endpoints?: AwsEndpoints | undefined;
}

/** Calls to AWS about one account and region. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD, ERR_NODE_ATTEST_INSTANCE */
export interface AwsApi {
  call(
    service: 'ec2' | 'iam',
    place: AwsPlace,
    parameters: readonly (readonly [string, string])[],
  ): Promise<XmlElement>;
}

export interface AwsPlace {
  readonly accountId: string;
  readonly region: string;
}

interface Target {
  readonly endpoint: string;
  readonly signingRegion: string;
}

const MAX_ACCOUNTS = 1_000;
/** Codes that say that the instance is not there. */
const NO_INSTANCE = /^InvalidInstanceID\./u;

export function createAwsApi(options: AwsApiOptions): AwsApi {
  const { ask, clock, credentials, assumeRole, endpoints = {} } = options;
  const assumed = new Map<string, LoadCredentials>();

  const send = async (
    service: 'ec2' | 'iam' | 'sts',
    region: string,
    load: LoadCredentials,
    parameters: readonly (readonly [string, string])[],
  ): Promise<XmlElement> => {
    const { endpoint, signingRegion } = targetOf(service, region, endpoints);
    const call = { endpoint, service, region: signingRegion, parameters };
    const question = signAwsCall(call, await load(), clock.now());
    const answer = await answerOf(ask, `${endpoint}/`, { method: 'POST', ...question });
    let root: XmlElement | undefined;
    try {
      root = parseAwsXml(answer.body.toString('utf8'));
    } catch (error) {
      throw failed(endpoint, `status ${answer.status}, ${messageOf(error)}`, error);
    }
    if (answer.status === 200) return root;
    throw failure(endpoint, answer.status, root);
  };
  const roleIn = ({ accountId, region }: AwsPlace): LoadCredentials => {
    if (assumeRole === undefined) return credentials;
    const known = assumed.get(accountId);
    if (known !== undefined) return known;
    const role = `arn:${partitionOf(region)}:iam::${accountId}:role/${assumeRole}`;
    const kept = keepCredentials(clock, async () =>
      readAssumed(await send('sts', region, credentials, assumeParameters(role)), endpoints),
    );
    if (assumed.size >= MAX_ACCOUNTS) assumed.clear();
    assumed.set(accountId, kept);
    return kept;
  };
  return {
    async call(service, place, parameters) {
      return await send(service, place.region, roleIn(place), parameters);
    },
  };
}

function assumeParameters(role: string) {
  return [
    ['Action', 'AssumeRole'],
    ['Version', '2011-06-15'],
    ['RoleArn', role],
    ['RoleSessionName', 'trustplane'],
    ['DurationSeconds', '3600'],
  ] as const;
}

function readAssumed(root: XmlElement, { sts }: AwsEndpoints): PassingCredentials {
  const text = (name: string): string => {
    const value = textAt(root, 'AssumeRoleResult', 'Credentials', name);
    if (value !== undefined && value !== '') return value;
    throw failed(sts ?? 'STS', `its answer has no ${name}`);
  };
  const expiresAt = Date.parse(text('Expiration'));
  if (Number.isNaN(expiresAt)) throw failed(sts ?? 'STS', 'its answer has no date in Expiration');
  return {
    accessKeyId: text('AccessKeyId'),
    secretAccessKey: text('SecretAccessKey'),
    sessionToken: text('SessionToken'),
    expiresAt,
  };
}

function failure(endpoint: string, status: number, root: XmlElement): Error {
  const code =
    textAt(root, 'Errors', 'Error', 'Code') ?? textAt(root, 'Error', 'Code') ?? 'no code';
  const shown = /^[\w.]{1,80}$/u.test(code) ? code : 'an unreadable code';
  if (!NO_INSTANCE.test(code)) return failed(endpoint, `status ${status}, ${shown}`);
  return refused('ERR_NODE_ATTEST_INSTANCE', `EC2 does not know the instance: ${shown}`);
}

function partitionOf(region: string): string {
  if (region.startsWith('cn-')) return 'aws-cn';
  return region.startsWith('us-gov-') ? 'aws-us-gov' : 'aws';
}

/** IAM is one service per partition. */
const IAM: Readonly<Record<string, Target>> = {
  aws: { endpoint: 'https://iam.amazonaws.com', signingRegion: 'us-east-1' },
  'aws-cn': { endpoint: 'https://iam.cn-north-1.amazonaws.com.cn', signingRegion: 'cn-north-1' },
  'aws-us-gov': { endpoint: 'https://iam.us-gov.amazonaws.com', signingRegion: 'us-gov-west-1' },
};

function targetOf(service: 'ec2' | 'iam' | 'sts', region: string, own: AwsEndpoints): Target {
  const partition = partitionOf(region);
  const suffix = partition === 'aws-cn' ? 'amazonaws.com.cn' : 'amazonaws.com';
  const regional = { endpoint: `https://${service}.${region}.${suffix}`, signingRegion: region };
  const target = service === 'iam' ? (IAM[partition] ?? regional) : regional;
  return { ...target, endpoint: own[service] ?? target.endpoint };
}
