import {
  type JwtIdentityRequest,
  parseAudience,
  printable,
  SpiffeId,
  type TokenSource,
} from '../spiffe/index.ts';
import { messageType, type PeerProcess } from '../wire/index.ts';
import { decodeRequest } from './decode-request.ts';
import { noIdentity } from './refusals.ts';
import type { Question } from './unary-call.ts';

const MAX_NOTED_CHARS = 256;

/**
 * FetchJWTSVID (Workload API §6.2.1): a JWT-SVID for each identity of the caller, or for the one it asks
 * for.
 * @throws TrustplaneError ERR_WORKLOAD_REQUEST, ERR_JWT_AUDIENCE_LIST, ERR_SPIFFE_ID_*, ERR_TRUST_DOMAIN,
 * ERR_WORKLOAD_NO_IDENTITY and what the source rejects with
 */
export async function fetchJwtSvid(
  tokens: TokenSource<PeerProcess>,
  { process, request, signal, note }: Question,
): Promise<Buffer> {
  const asked = parseRequest(request);
  const name = printable(asked.audience.join(' '), MAX_NOTED_CHARS);
  note({ type: 'JWT-SVID', name, state: 'waiting' });
  const identities = await tokens.fetchJwtSvids(process, asked, signal);
  if (identities.length === 0) throw noIdentity(asked.spiffeId);
  const svids = identities.map(({ spiffeId, token, hint }) => ({
    spiffe_id: spiffeId.toString(),
    svid: token,
    ...(hint === '' ? {} : { hint }),
  }));
  return Buffer.from(messageType('workload.proto', 'JWTSVIDResponse').encode({ svids }).finish());
}

function parseRequest(request: Buffer): JwtIdentityRequest {
  const { audience, spiffe_id: id } = decodeRequest('JWTSVIDRequest', request);
  const values: readonly unknown[] = Array.isArray(audience) ? audience : [];
  return {
    audience: parseAudience(values.map(String)),
    spiffeId: typeof id === 'string' && id !== '' ? SpiffeId.parse(id) : undefined,
  };
}
