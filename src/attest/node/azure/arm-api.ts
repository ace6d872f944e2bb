import type { JsonObject, JsonValue } from '../../../spiffe/index.ts';
import type { AccessToken } from '../cloud/access-token.ts';
import { askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import { shown } from '../cloud/signed-token.ts';

export interface ArmOptions {
  readonly ask: AskHttp;
  readonly token: AccessToken;
  /** `https://host[:port]` of Azure Resource Manager. */
  readonly endpoint: string;
  readonly subscriptionId: string;
}

const RESOURCES = '2021-04-01';
const COMPUTE = '2024-07-01';
const NETWORK = '2024-05-01';
const MAX_INTERFACES = 32;
const MAX_PAGES = 16;
const NAME = '([\\w.()-]{1,128})';
const GROUP = `^/subscriptions/[0-9a-fA-F-]{36}/resourceGroups/([\\w.()-]{1,90})/providers/`;
const FORMS = {
  machine: new RegExp(`${GROUP}Microsoft\\.Compute/virtualMachines/${NAME}$`, 'iu'),
  interface: new RegExp(`${GROUP}Microsoft\\.Network/networkInterfaces/${NAME}$`, 'iu'),
  securityGroup: new RegExp(`${GROUP}Microsoft\\.Network/networkSecurityGroups/${NAME}$`, 'iu'),
  subnet: new RegExp(`${GROUP}Microsoft\\.Network/virtualNetworks/${NAME}/subnets/${NAME}$`, 'iu'),
} as const;

/**
 * What Azure Resource Manager says of the one virtual machine that has a principal, as parts of
 * selectors.
 * @throws TrustplaneError ERR_NODE_ATTEST_CLOUD; ERR_NODE_ATTEST_INSTANCE when there is none, or more
 */
export async function describeMachine(
  options: ArmOptions,
  principalId: string,
): Promise<readonly string[]> {
  const id = await findMachine(options, principalId);
  const [group = '', name = ''] = namesIn(id, 'machine');
  const machine = await get(options, checkedId(id, 'machine'), COMPUTE);
  const refs = listOf(memberAt(machine, 'properties', 'networkProfile', 'networkInterfaces'));
  if (refs.length > MAX_INTERFACES) throw odd(`a machine with ${refs.length} network interfaces`);
  const facts = [`subscription-id:${options.subscriptionId}`, `vm-name:${group}:${name}`];
  for (const ref of refs) {
    const interfaceId = memberAt(ref, 'id');
    facts.push(...interfaceFacts(await get(options, checkedId(interfaceId, 'interface'), NETWORK)));
  }
  return facts;
}

async function findMachine(options: ArmOptions, principalId: string): Promise<string> {
  const filter = `resourceType eq 'Microsoft.Compute/virtualMachines' and identity/principalId eq '${principalId}'`;
  const query = `api-version=${RESOURCES}&$filter=${encodeURIComponent(filter)}`;
  const base = `${options.endpoint}/subscriptions/${options.subscriptionId}/resources?`;
  const ids: (JsonValue | undefined)[] = [];
  let url: string | undefined = `${base}${query}`;
  // Pages may be empty and yet have a next one.
  for (let page = 0; url !== undefined && ids.length < 2; page++) {
    if (page === MAX_PAGES) throw odd(`over ${MAX_PAGES} pages about one principal`);
    const answer = await getUrl(options, url);
    ids.push(...listOf(answer.get('value')).map((each) => memberAt(each, 'id')));
    url = nextOf(answer, base);
  }
  const [id] = ids;
  if (ids.length === 1 && typeof id === 'string') return id;
  const count = ids.length === 0 ? 'no virtual machine has' : 'more than one virtual machine has';
  const why = `${count} the principal ${principalId} in ${options.subscriptionId}`;
  throw refused('ERR_NODE_ATTEST_INSTANCE', why);
}

/** Nowhere else is the token shown. */
function nextOf(answer: JsonObject, base: string): string | undefined {
  const next = answer.get('nextLink') ?? undefined;
  if (next === undefined) return undefined;
  if (typeof next === 'string' && next.startsWith(base)) return next;
  throw odd(`${shown(next)} for the next page`);
}

function interfaceFacts(found: JsonObject): readonly string[] {
  const group = memberAt(found, 'properties', 'networkSecurityGroup', 'id');
  const subnets = listOf(memberAt(found, 'properties', 'ipConfigurations'))
    .map((each) => memberAt(each, 'properties', 'subnet', 'id'))
    .filter((id) => id !== undefined)
    .map((id) => namesIn(id, 'subnet'));
  return [
    ...(group === undefined
      ? []
      : [`network-security-group:${namesIn(group, 'securityGroup').join(':')}`]),
    ...subnets.flatMap(([resourceGroup, network, subnet]) => [
      `virtual-network:${resourceGroup}:${network}`,
      `virtual-network-subnet:${resourceGroup}:${network}:${subnet}`,
    ]),
  ];
}

/** Resource group and names in the ID of a resource. */
function namesIn(id: JsonValue | undefined, kind: keyof typeof FORMS): readonly string[] {
  return FORMS[kind].exec(checkedId(id, kind))?.slice(1) ?? [];
}

/** The ID of a resource, whose form makes it safe in a URL. */
function checkedId(id: JsonValue | undefined, kind: keyof typeof FORMS): string {
  if (typeof id === 'string' && FORMS[kind].test(id)) return id;
  throw odd(`${shown(id)} for the ID of a ${kind}`);
}

async function get(options: ArmOptions, path: string, version: string): Promise<JsonObject> {
  return await getUrl(options, `${options.endpoint}${path}?api-version=${version}`);
}

async function getUrl({ ask, token }: ArmOptions, url: string): Promise<JsonObject> {
  return await askCloudJson(ask, url, { headers: { Authorization: `Bearer ${await token()}` } });
}

function memberAt(value: JsonValue | undefined, ...path: readonly string[]): JsonValue | undefined {
  let found = value;
  for (const name of path) found = found instanceof Map ? found.get(name) : undefined;
  return found ?? undefined;
}

function listOf(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function odd(what: string): Error {
  return refused('ERR_NODE_ATTEST_CLOUD', `Azure Resource Manager answers with ${what}`);
}
