import { messageOf, parseJson } from '../../../spiffe/index.ts';
import type { KeySource } from '../cloud/key-source.ts';
import { refused } from '../cloud/refused.ts';
import {
  parseSignedToken,
  readTextClaim,
  requireAudience,
  requireIssuer,
  requireSignature,
  requireTime,
  type SignedToken,
} from '../cloud/signed-token.ts';

/** What a tenant's tokens are verified by. */
export interface TenantTerms {
  /** The audience that a token has to have. */
  readonly resourceId: string;
  readonly issuers: readonly string[];
  readonly keys: KeySource;
}

/** A managed identity of a virtual machine. */
export interface MachineIdentity {
  readonly tenantId: string;
  readonly principalId: string;
  /** Of the machine; undefined when the identity is one that is assigned to machines. */
  readonly machine: MachineName | undefined;
}

export interface MachineName {
  readonly subscriptionId: string;
  readonly resourceGroup: string;
  readonly name: string;
}

const MAX_PAYLOAD_BYTES = 32_768;
const ALGORITHMS = new Set(['RS256', 'RS384', 'RS512']);
/** SPIRE's: these tokens begin five minutes early, and live for a day. */
const LEEWAY_MS = 300_000;
const MAX_LIFETIME_MS = 26 * 3_600_000;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u;
const OBJECT_ID = /^[0-9A-Za-z_-]{1,128}$/u;
const RESOURCE =
  /^\/subscriptions\/([0-9a-f-]{36})\/resourcegroups\/([\w.()-]{1,90})\/providers\/(microsoft\.compute\/virtualmachines|microsoft\.managedidentity\/userassignedidentities)\/([\w.()-]{1,128})$/iu;

/**
 * The machine identity that a token is of: by a tenant that may, signed by its keys, meant for the
 * resource, in its time; and not of a person or an application.
 * @throws TrustplaneError ERR_NODE_ATTEST_*
 */
export async function verifyMsiToken(
  payload: Uint8Array,
  tenants: ReadonlyMap<string, TenantTerms>,
  now: number,
): Promise<MachineIdentity> {
  const token = parseSignedToken(readToken(payload), ALGORITHMS);
  const tenantId = readTextClaim(token.claims, 'tid', UUID);
  const terms = tenants.get(tenantId);
  if (terms === undefined) {
    throw refused('ERR_NODE_ATTEST_ACCOUNT', `nodes of the tenant ${tenantId} may not join`);
  }
  requireIssuer(token, terms.issuers);
  requireAudience(token, terms.resourceId);
  requireTime(token, { now, leewayMs: LEEWAY_MS, maxLifetimeMs: MAX_LIFETIME_MS });
  requireSignature(token, await terms.keys.find(token.keyId));
  return readIdentity(token, tenantId);
}

function readToken(payload: Uint8Array): string {
  let root: ReturnType<typeof parseJson>;
  try {
    root = parseJson(payload, { maxBytes: MAX_PAYLOAD_BYTES, maxDepth: 4 });
  } catch (error) {
    const message = `the attestation data cannot be read: ${messageOf(error)}`;
    throw refused('ERR_NODE_ATTEST_PAYLOAD', message);
  }
  const token = root instanceof Map ? root.get('token') : undefined;
  if (typeof token === 'string' && token !== '') return token;
  throw refused('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data is no object with a text token');
}

/** Of a managed identity Azure says which resource it is of; of nobody else. */
function readIdentity({ claims }: SignedToken, tenantId: string): MachineIdentity {
  const principalId = readTextClaim(claims, 'sub', OBJECT_ID);
  const objectId = claims.get('oid') ?? principalId;
  if (objectId !== principalId) {
    const why = 'the token is of a person: its sub is not its oid';
    throw refused('ERR_NODE_ATTEST_CLAIMS', why);
  }
  const resource = readTextClaim(claims, 'xms_mirid', RESOURCE);
  const [, subscriptionId = '', resourceGroup = '', kind = '', name = ''] =
    RESOURCE.exec(resource) ?? [];
  const isMachine = kind.toLowerCase() === 'microsoft.compute/virtualmachines';
  return {
    tenantId,
    principalId,
    machine: isMachine ? { subscriptionId, resourceGroup, name } : undefined,
  };
}
