import { type Clock, messageOf, parseJson } from '../../../spiffe/index.ts';
import { refused } from '../cloud/refused.ts';
import type { Imds } from './imds.ts';
import type { AwsCredentials } from './sign-request.ts';

/** Credentials of a role, until they end. */
export interface PassingCredentials extends AwsCredentials {
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
export type LoadCredentials = () => Promise<AwsCredentials>;

const RENEW_BEFORE_MS = 300_000;
const FOLDER = 'meta-data/iam/security-credentials/';
const ROLE = /^[\w+=,.@-]{1,64}$/u;
const SECTION = /^\[(?:profile )?([^\]]{1,64})\]$/u;

/** The role of the instance that this server itself runs on. */
export function createInstanceRole(imds: Imds, clock: Clock): LoadCredentials {
  return keepCredentials(clock, async () => {
    const role = (await imds.read(FOLDER)).trim();
    if (!ROLE.test(role)) throw unusable('the instance of this server has no role');
    const text = await imds.read(`${FOLDER}${role}`);
    try {
      return parseRoleCredentials(text);
    } catch (error) {
      throw unusable(`those of the role ${role} cannot be read: ${messageOf(error)}`);
    }
  });
}

/** What `load` brings, until shortly before it ends; asked once for many. */
export function keepCredentials(
  clock: Clock,
  load: () => Promise<PassingCredentials>,
): LoadCredentials {
  let current: PassingCredentials | undefined;
  let loading: Promise<PassingCredentials> | undefined;
  return async () => {
    if (current !== undefined && clock.now() < current.expiresAt - RENEW_BEFORE_MS) return current;
    loading ??= load().finally(() => {
      loading = undefined;
    });
    current = await loading;
    return current;
  };
}

/** The section `default` of a file as AWS's command line keeps it. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
export function parseCredentialsFile(text: string): AwsCredentials {
  const values = new Map<string, string>();
  let section = 'default';
  for (const line of text.split(/\r?\n/u).map((each) => each.trim())) {
    if (line === '' || /^[#;]/u.test(line)) continue;
    section = SECTION.exec(line)?.[1] ?? section;
    const at = line.indexOf('=');
    if (section === 'default' && at > 0) {
      values.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
    }
  }
  const accessKeyId = values.get('aws_access_key_id');
  const secretAccessKey = values.get('aws_secret_access_key');
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    throw unusable('the file lacks aws_access_key_id or aws_secret_access_key in [default]');
  }
  return { accessKeyId, secretAccessKey, sessionToken: values.get('aws_session_token') };
}

function parseRoleCredentials(text: string): PassingCredentials {
  const root = parseJson(text, { maxDepth: 4 });
  const member = (name: string): string => {
    const value = root instanceof Map ? root.get(name) : undefined;
    if (typeof value === 'string' && value !== '') return value;
    throw new Error(`there is no text ${name}`);
  };
  const expiresAt = Date.parse(member('Expiration'));
  if (Number.isNaN(expiresAt)) throw new Error('Expiration is no date');
  return {
    accessKeyId: member('AccessKeyId'),
    secretAccessKey: member('SecretAccessKey'),
    sessionToken: member('Token'),
    expiresAt,
  };
}

function unusable(why: string): Error {
  return refused('ERR_NODE_ATTEST_CLOUD', `no credentials for AWS: ${why}`);
}
