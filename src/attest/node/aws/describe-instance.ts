import { failed } from '../cloud/ask-cloud.ts';
import { refused } from '../cloud/refused.ts';
import type { AwsApi } from './aws-api.ts';
import { elementsAt, textAt, type XmlElement } from './aws-xml.ts';
import type { IdentityDocument } from './identity-document.ts';

/** What EC2 says of an instance. */
export interface Ec2Instance {
  readonly rootDeviceType: string | undefined;
  readonly rootDeviceName: string | undefined;
  readonly devices: readonly { readonly name: string | undefined; readonly attachedAt: number }[];
  readonly interfaces: readonly {
    readonly index: string | undefined;
    readonly attachedAt: number;
  }[];
  readonly securityGroups: readonly { readonly id: string; readonly name: string }[];
  readonly tags: ReadonlyMap<string, string>;
  /** ARN. */
  readonly instanceProfile: string | undefined;
}

/**
 * The instance of the document, pending or running, in its account.
 * @throws TrustplaneError ERR_NODE_ATTEST_INSTANCE, ERR_NODE_ATTEST_CLOUD
 */
export async function describeInstance(
  api: AwsApi,
  document: IdentityDocument,
): Promise<Ec2Instance> {
  const root = await api.call('ec2', document, [
    ['Action', 'DescribeInstances'],
    ['Version', '2016-11-15'],
    ['Filter.1.Name', 'instance-state-name'],
    ['Filter.1.Value.1', 'pending'],
    ['Filter.1.Value.2', 'running'],
    ['InstanceId.1', document.instanceId],
  ]);
  const [reservation, ...more] = elementsAt(root, 'reservationSet', 'item');
  const [instance, ...others] = elementsAt(reservation, 'instancesSet', 'item');
  if (instance === undefined || more.length + others.length > 0) {
    throw gone(
      document,
      `EC2 names ${instance === undefined ? 'none' : 'more than one'} that runs`,
    );
  }
  const owner = textAt(reservation, 'ownerId');
  if (textAt(instance, 'instanceId') !== document.instanceId || owner !== document.accountId) {
    throw gone(document, 'EC2 answers about another one');
  }
  return readInstance(instance);
}

/** ARNs of the roles of an instance profile. @throws TrustplaneError ERR_NODE_ATTEST_CLOUD */
export async function describeRoles(
  api: AwsApi,
  document: IdentityDocument,
  profileArn: string,
): Promise<readonly string[]> {
  const name =
    /^arn:[\w-]+:iam::\d{12}:instance-profile\/(?:[\x21-\x7e]+\/)?([\w+=,.@-]{1,128})$/u.exec(
      profileArn,
    )?.[1];
  if (name === undefined) throw failed('EC2', 'the instance profile has no ARN of one');
  const root = await api.call('iam', document, [
    ['Action', 'GetInstanceProfile'],
    ['InstanceProfileName', name],
    ['Version', '2010-05-08'],
  ]);
  const path = ['GetInstanceProfileResult', 'InstanceProfile', 'Roles', 'member', 'Arn'];
  return elementsAt(root, ...path).map(({ text }) => text);
}

function readInstance(instance: XmlElement): Ec2Instance {
  const devices = elementsAt(instance, 'blockDeviceMapping', 'item').map((item) => ({
    name: textAt(item, 'deviceName'),
    attachedAt: Date.parse(textAt(item, 'ebs', 'attachTime') ?? ''),
  }));
  const interfaces = elementsAt(instance, 'networkInterfaceSet', 'item').map((item) => ({
    index: textAt(item, 'attachment', 'deviceIndex'),
    attachedAt: Date.parse(textAt(item, 'attachment', 'attachTime') ?? ''),
  }));
  const securityGroups = elementsAt(instance, 'groupSet', 'item').map((item) => ({
    id: textAt(item, 'groupId') ?? '',
    name: textAt(item, 'groupName') ?? '',
  }));
  const tags = elementsAt(instance, 'tagSet', 'item').map(
    (item) => [textAt(item, 'key') ?? '', textAt(item, 'value') ?? ''] as const,
  );
  return {
    rootDeviceType: textAt(instance, 'rootDeviceType'),
    rootDeviceName: textAt(instance, 'rootDeviceName'),
    devices,
    interfaces,
    securityGroups,
    tags: new Map(tags),
    instanceProfile: textAt(instance, 'iamInstanceProfile', 'arn'),
  };
}

function gone({ instanceId, accountId, region }: IdentityDocument, why: string): Error {
  const message = `the instance ${instanceId} of ${accountId} in ${region}: ${why}`;
  return refused('ERR_NODE_ATTEST_INSTANCE', message);
}
