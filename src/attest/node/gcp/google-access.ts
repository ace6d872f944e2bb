import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { type Clock, messageOf, parseJson } from '../../../spiffe/index.ts';
import { type AccessToken, createAccessToken } from '../cloud/access-token.ts';
import { askCloudJson } from '../cloud/ask-cloud.ts';
import type { AskHttp } from '../cloud/ask-http.ts';
import { refused } from '../cloud/refused.ts';
import { METADATA_HEADERS } from './gcp-iit-attestation.ts';

const SCOPE = 'https://www.googleapis.com/auth/compute.readonly';
const GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const LIFETIME_SECONDS = 600;

/** A service account's key, as Google gives it to download. */
export interface ServiceAccountKey {
  readonly email: string;
  readonly keyId: string;
  readonly privateKey: KeyObject;
  /** `https:` */
  readonly tokenUrl: string;
}

/** Tokens of the service account of the machine that this server runs on. */
export function createMachineAccess(ask: AskHttp, clock: Clock, endpoint: string): AccessToken {
  const url = `${endpoint}/computeMetadata/v1/instance/service-accounts/default/token`;
  return createAccessToken(
    clock,
    async () => await askCloudJson(ask, url, { headers: METADATA_HEADERS }),
  );
}

/** Tokens for a service account, by its key (RFC 7523 §2.1). */
export function createKeyAccess(ask: AskHttp, clock: Clock, key: ServiceAccountKey): AccessToken {
  return createAccessToken(clock, async () => {
    const body = new URLSearchParams({
      grant_type: GRANT,
      assertion: assertionOf(key, clock.now()),
    });
    return await askCloudJson(ask, key.tokenUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      body: body.toString(),
    });
  });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_AUTHORITIES */
export function parseServiceAccountKey(bytes: Uint8Array): ServiceAccountKey {
  try {
    const root = parseJson(bytes, { maxDepth: 2 });
    const member = (name: string): string => {
      const value = root instanceof Map ? root.get(name) : undefined;
      if (typeof value === 'string' && value !== '') return value;
      throw new Error(`there is no text ${name}`);
    };
    const tokenUrl = member('token_uri');
    if (!tokenUrl.startsWith('https://')) throw new Error('token_uri is no https URL');
    return {
      email: member('client_email'),
      keyId: member('private_key_id'),
      privateKey: createPrivateKey(member('private_key')),
      tokenUrl,
    };
  } catch (error) {
    const message = `the key of the service account cannot be used: ${messageOf(error)}`;
    throw refused('ERR_NODE_ATTEST_AUTHORITIES', message);
  }
}

function assertionOf(
  { email, keyId, privateKey, tokenUrl }: ServiceAccountKey,
  now: number,
): string {
  const issuedAt = Math.floor(now / 1000);
  const times = { iat: issuedAt, exp: issuedAt + LIFETIME_SECONDS };
  const header = { alg: 'RS256', typ: 'JWT', kid: keyId };
  const claims = { iss: email, scope: SCOPE, aud: tokenUrl, ...times };
  const input = [header, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${input}.${sign('sha256', Buffer.from(input), privateKey).toString('base64url')}`;
}
