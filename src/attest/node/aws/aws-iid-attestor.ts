import type { KeyObject } from 'node:crypto';
import type { Log } from '../../../ops/index.ts';
import { type Clock, messageOf, sameBytes, type TrustDomain } from '../../../spiffe/index.ts';
import { parseAgentPathTemplate } from '../agent-path-template.ts';
import { refused } from '../cloud/refused.ts';
import { selectorsOf } from '../cloud/select.ts';
import { isSignedByOne, parseSignedData, type SignedData } from '../cloud/signed-data.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import type { AwsApi } from './aws-api.ts';
import { describeInstance, describeRoles, type Ec2Instance } from './describe-instance.ts';
import { type IdentityDocument, parseIdentityDocument } from './identity-document.ts';
import { parseIidPayload } from './iid-payload.ts';
import { requireFirstDisk } from './require-first-disk.ts';

const NAME = 'aws_iid';
const DEFAULT_TEMPLATE = '/aws_iid/{{ .AccountID }}/{{ .Region }}/{{ .InstanceID }}';
const MAX_AHEAD_MS = 300_000;
const TAG_VARIABLE = /^Tags\.([A-Za-z0-9_-]{1,128})$/u;
const VARIABLES = new Map<string, (document: IdentityDocument) => string>([
  ['AccountID', ({ accountId }) => accountId],
  ['Region', ({ region }) => region],
  ['InstanceID', ({ instanceId }) => instanceId],
]);

/** A certificate that AWS signs documents of a region with. */
export interface RegionKey {
  readonly publicKey: KeyObject;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface AwsIidAttestorOptions {
  readonly trustDomain: TrustDomain;
  /** Whose instances may join; undefined: those of any account that AWS vouches for. */
  readonly accounts: ReadonlySet<string> | undefined;
  /** By region; those of no other region may join. */
  readonly keys: ReadonlyMap<string, readonly RegionKey[]>;
  readonly api: AwsApi;
  /** Of an instance that joins, since it was launched; undefined: any. */
  readonly maxInstanceAgeMs?: number | undefined;
  /** Whether an instance may join with another root disk than it was launched with. */
  readonly skipBlockDevice?: boolean | undefined;
  /** Whether IAM is asked for the roles of the instance's profile; default true. */
  readonly roleSelectors?: boolean | undefined;
  /** Default `/aws_iid/{{ .AccountID }}/{{ .Region }}/{{ .InstanceID }}`; `.Tags.<key>` is there too. */
  readonly agentPathTemplate?: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * The server's side of SPIRE's aws_iid: the node shows its instance identity document, signed by AWS;
 * EC2 is asked about that instance. Anybody on the instance can read the document, so the first one to
 * show it is the agent.
 * @throws TrustplaneError ERR_NODE_ATTEST_TEMPLATE
 */
export function createAwsIidAttestor(options: AwsIidAttestorOptions): NodeAttestor {
  const { trustDomain, api, log } = options;
  const template = parseAgentPathTemplate(options.agentPathTemplate ?? DEFAULT_TEMPLATE, {
    attestor: NAME,
    trustDomain,
    isVariable: (name) => VARIABLES.has(name) || TAG_VARIABLE.test(name),
  });
  return {
    name: NAME,
    async attest(payload) {
      const document = verifyDocument(payload, options);
      const instance = await describeInstance(api, document);
      if (options.skipBlockDevice !== true) requireFirstDisk(instance);
      const agentPath = template((name) => variable(name, document, instance));
      const { instanceProfile: profile } = instance;
      const asks = profile !== undefined && options.roleSelectors !== false;
      const roles = asks ? await describeRoles(api, document, profile) : [];
      const selectors = selectorsOf(NAME, factsOf(document, instance, roles), log);
      return { agentPath, selectors, canReattest: false, isFirstUseOnly: true };
    },
  };
}

/** The document that AWS signed: those very bytes, of a region, account and time that are accepted. */
function verifyDocument(payload: Uint8Array, options: AwsIidAttestorOptions): IdentityDocument {
  const { document: shown, message: bytes } = parseIidPayload(payload);
  const message = parseMessage(bytes);
  if (!sameBytes(message.content, shown)) {
    throw unsigned('the document is not the one that is signed');
  }
  const document = parseIdentityDocument(message.content);
  const { accountId, region } = document;
  const now = options.clock.now();
  const keys = options.keys.get(region);
  if (keys === undefined) {
    const why = `nodes of ${region} may not join; there is no certificate of AWS for it`;
    throw refused('ERR_NODE_ATTEST_REGION', why);
  }
  const current = keys.filter(({ notAfter }) => now < notAfter).map(({ publicKey }) => publicKey);
  if (current.length === 0) throw unsigned(`AWS's certificates for ${region} have all expired`);
  if (!isSignedByOne(message, current)) {
    throw unsigned(`AWS did not sign the document with its key for ${region}`);
  }
  if (options.accounts?.has(accountId) === false) {
    throw refused('ERR_NODE_ATTEST_ACCOUNT', `nodes of the account ${accountId} may not join`);
  }
  requireAge(document, now, options.maxInstanceAgeMs);
  return document;
}

function parseMessage(bytes: Uint8Array): SignedData {
  try {
    return parseSignedData(bytes);
  } catch (error) {
    throw unsigned(messageOf(error), error);
  }
}

function requireAge({ pendingTime }: IdentityDocument, now: number, maxAgeMs?: number): void {
  const ageMs = now - pendingTime;
  const launched = new Date(pendingTime).toISOString();
  if (ageMs < -MAX_AHEAD_MS) {
    throw refused('ERR_NODE_ATTEST_TIME', `the instance is of the future: ${launched}`);
  }
  if (maxAgeMs === undefined || ageMs <= maxAgeMs) return;
  const why = `the instance was launched ${launched}; it may join for ${maxAgeMs / 1000} s`;
  throw refused('ERR_NODE_ATTEST_TIME', why);
}

function variable(
  name: string,
  document: IdentityDocument,
  { tags }: Ec2Instance,
): string | undefined {
  return VARIABLES.get(name)?.(document) ?? tags.get(TAG_VARIABLE.exec(name)?.[1] ?? '');
}

function factsOf(
  document: IdentityDocument,
  { tags, securityGroups }: Ec2Instance,
  roles: readonly string[],
): readonly string[] {
  return [
    `account_id:${document.accountId}`,
    `az:${document.availabilityZone}`,
    `image:id:${document.imageId}`,
    `instance:id:${document.instanceId}`,
    `region:${document.region}`,
    ...securityGroups.flatMap(({ id, name }) => [`sg:id:${id}`, `sg:name:${name}`]),
    ...roles.map((arn) => `iamrole:${arn}`),
    ...[...tags].map(([key, value]) => `tag:${key}:${value}`),
  ];
}

function unsigned(why: string, cause?: unknown): Error {
  return refused('ERR_NODE_ATTEST_SIGNATURE', why, cause);
}
