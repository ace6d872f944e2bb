import type { JsonObject, JsonValue } from '../../../spiffe/index.ts';
import type { AccessToken } from '../cloud/access-token.ts';
import { askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import type { GcpInstance } from './identity-token.ts';

export interface GcpDescribeOptions {
  readonly ask: AskHttp;
  readonly token: AccessToken;
  /** `https://host[:port]` of the Compute Engine API. */
  readonly endpoint: string;
  /** Keys of labels that make selectors. */
  readonly labels: ReadonlySet<string>;
  /** Keys of metadata that make selectors. */
  readonly metadata: ReadonlySet<string>;
  /** Of one value of metadata. */
  readonly maxValueBytes: number;
}

/**
 * Asks the Compute Engine API about an instance, which has to be the one of the token: a name can have
 * been given to another one since.
 * @throws TrustplaneError ERR_NODE_ATTEST_CLOUD, ERR_NODE_ATTEST_INSTANCE
 */
export function createGcpDescribe(
  options: GcpDescribeOptions,
): (instance: GcpInstance) => Promise<readonly string[]> {
  const { ask, token, endpoint } = options;
  return async ({ projectId, zone, instanceName, instanceId }) => {
    const parts = { projects: projectId, zones: zone, instances: instanceName };
    const path = Object.entries(parts).map(([kind, name]) => `${kind}/${encodeURIComponent(name)}`);
    const found = await askCloudJson(ask, `${endpoint}/compute/v1/${path.join('/')}`, {
      headers: { Authorization: `Bearer ${await token()}` },
    });
    if (found.get('id') !== instanceId) {
      const why = `${instanceName} in ${zone} of ${projectId} is another instance by now`;
      throw refused('ERR_NODE_ATTEST_INSTANCE', why);
    }
    return [
      ...textsOf(memberOf(found.get('tags'), 'items')).map((tag) => `tag:${tag}`),
      ...labelFacts(found, options.labels),
      ...metadataFacts(found, options),
    ];
  };
}

function labelFacts(found: JsonObject, allowed: ReadonlySet<string>): readonly string[] {
  const labels = found.get('labels');
  if (!(labels instanceof Map)) return [];
  return [...labels].flatMap(([key, value]) =>
    allowed.has(key) && typeof value === 'string' ? [`label:${key}:${value}`] : [],
  );
}

function metadataFacts(
  found: JsonObject,
  { metadata, maxValueBytes }: GcpDescribeOptions,
): readonly string[] {
  const items = memberOf(found.get('metadata'), 'items');
  return listOf(items).flatMap((item) => {
    const key = memberOf(item, 'key');
    const value = memberOf(item, 'value') ?? '';
    if (typeof key !== 'string' || typeof value !== 'string' || !metadata.has(key)) return [];
    if (Buffer.byteLength(value) <= maxValueBytes) return [`metadata:${key}:${value}`];
    const why = `its metadata ${key} has more than ${maxValueBytes} bytes`;
    throw refused('ERR_NODE_ATTEST_INSTANCE', `the instance may not join: ${why}`);
  });
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function textsOf(value: JsonValue | undefined): readonly string[] {
  return listOf(value).filter((item) => typeof item === 'string');
}
