import type { JsonObject, JsonValue } from '../../../spiffe/index.ts';
import type { KeySource } from '../cloud/key-source.ts';
import { refused } from '../cloud/refused.ts';
import {
  parseSignedToken,
  readTextClaim,
  requireAudience,
  requireIssuer,
  requireSignature,
  requireTime,
  shown,
} from '../cloud/signed-token.ts';
import { GCP_AUDIENCE } from './gcp-iit-attestation.ts';

/** What Google signs about an instance of Compute Engine. */
export interface GcpInstance {
  readonly projectId: string;
  readonly projectNumber: string;
  readonly zone: string;
  readonly instanceId: string;
  readonly instanceName: string;
  /** Email of its service account. */
  readonly serviceAccount: string;
}

const ISSUERS = ['https://accounts.google.com'];
const ALGORITHMS = new Set(['RS256']);
const LEEWAY_MS = 60_000;
/** Google's live for an hour. */
const MAX_LIFETIME_MS = 2 * 3_600_000;
const VISIBLE = /^[\x21-\x7e]*$/u;
const FORMS = {
  project_id: /^(?:[a-z0-9.-]{1,128}:)?[a-z][a-z0-9-]{1,62}$/u,
  zone: /^[a-z0-9-]{1,64}$/u,
  instance_id: /^\d{1,20}$/u,
  instance_name: /^[a-z][a-z0-9-]{0,62}$/u,
  email: /^[A-Za-z0-9._+-]{1,128}@[a-z0-9.-]{1,128}$/u,
} as const;

/**
 * The instance that an identity token is of: signed by Google, meant for nodes, in its time, and of a
 * machine rather than of a person or a service elsewhere.
 * @throws TrustplaneError ERR_NODE_ATTEST_*
 */
export async function verifyIdentityToken(
  payload: Uint8Array,
  keys: KeySource,
  now: number,
): Promise<GcpInstance> {
  const token = parseSignedToken(tokenText(payload), ALGORITHMS);
  requireIssuer(token, ISSUERS);
  requireAudience(token, GCP_AUDIENCE);
  requireTime(token, { now, leewayMs: LEEWAY_MS, maxLifetimeMs: MAX_LIFETIME_MS });
  requireSignature(token, await keys.find(token.keyId));
  return readInstance(token.claims);
}

function tokenText(payload: Uint8Array): string {
  const text = Buffer.from(payload).toString('latin1');
  if (VISIBLE.test(text)) return text;
  throw refused('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data is no token, which is ASCII');
}

function readInstance(claims: JsonObject): GcpInstance {
  const engine = memberOf(claims.get('google'), 'compute_engine');
  if (!(engine instanceof Map)) {
    const why =
      'the token is of no instance: it lacks google.compute_engine, as format=full gives it';
    throw refused('ERR_NODE_ATTEST_CLAIMS', why);
  }
  const projectNumber = engine.get('project_number');
  const isNumber = typeof projectNumber === 'number' || typeof projectNumber === 'bigint';
  if (!isNumber) {
    const why = `the token's project_number is a number; got ${shown(projectNumber)}`;
    throw refused('ERR_NODE_ATTEST_CLAIMS', why);
  }
  if (claims.get('email_verified') !== true) {
    const why = "the token's email is not said to be verified";
    throw refused('ERR_NODE_ATTEST_CLAIMS', why);
  }
  return {
    projectId: readTextClaim(engine, 'project_id', FORMS.project_id),
    projectNumber: String(projectNumber),
    zone: readTextClaim(engine, 'zone', FORMS.zone),
    instanceId: readTextClaim(engine, 'instance_id', FORMS.instance_id),
    instanceName: readTextClaim(engine, 'instance_name', FORMS.instance_name),
    serviceAccount: readTextClaim(claims, 'email', FORMS.email),
  };
}

function memberOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  return value instanceof Map ? value.get(name) : undefined;
}
