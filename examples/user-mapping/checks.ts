import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { runTrustplane } from '../../test/programs/launch-trustplane.ts';
import type { Caller } from './callers.ts';
import { fetchIdentity, plainCaller, tlsCaller } from './callers.ts';
import type { Place } from './launch.ts';
import { adaId, appId, jobId, webId } from './launch.ts';

/** Something that is tried, and what has to come of it. */
export interface Check {
  readonly name: string;
  readonly expected: string;
  /** Resolves with what came of it. */
  attempt(): Promise<string>;
}

/** All that is tried, and the job as a caller. */
export interface Checks {
  readonly all: readonly Check[];
  readonly job: Caller;
}

const asAda = '200 as ada (shop)';
const asJob = '200 as ci-shop (shop)';
const whoAmI = 'GET /user';

/** Fetches the identities of the callers. */
export async function createChecks(place: Place): Promise<Checks> {
  const identity = async (id: string) =>
    await fetchIdentity(place.trustplane.socket, place.folder, id);
  const [asJobItself, web] = [await identity(jobId), await identity(webId)];
  const job = tlsCaller(place.sidecar, asJobItself);
  const laxJob = tlsCaller(place.laxSidecar, asJobItself);
  const ada = plainCaller(place.ofAda);
  const nobody = tlsCaller(place.sidecar, { ca: web.ca });
  const direct = plainCaller(place.app);
  const [forged, token] = [await forgeAssertion(), await fetchToken(place)];
  const root = [
    ['x-user', 'root'],
    ['x-user-groups', 'shop'],
  ] as const;
  const twice = [
    ['X-USER', 'root'],
    ['x-user', 'ci-shop'],
    ['X-User-Groups', 'admin'],
    ['x-user-groups', 'shop,admin'],
  ] as const;
  const spellings = [
    ['X_User', 'root'],
    ['x_user', 'root'],
    ['x-user_groups', 'admin'],
  ] as const;
  const all: readonly (readonly [string, string, () => Promise<string>])[] = [
    ['Ada, through her Envoy', asAda, () => ada(whoAmI)],
    ['Ada opens an issue', '201 as ada (shop)', () => ada('POST /projects/shop/issues')],
    ['a job of project shop', asJob, () => job('GET /projects/shop/issues')],
    ['it looks into another project', '403', () => job('GET /projects/payroll/issues')],
    ['and once more, round a corner', '403', () => job('GET /projects/shop/../payroll/issues')],
    ['a workload of no team', '403', () => tlsCaller(place.sidecar, web)(whoAmI)],
    ['a caller without certificate', 'no connection', () => nobody(whoAmI)],
    ['Ada writes x-user: root', asAda, () => ada(whoAmI, root)],
    ['the job writes x-user: root', asJob, () => job(whoAmI, root)],
    ['X-USER, x-user, in several lines', asJob, () => job(whoAmI, twice)],
    ['an assertion of its own', asJob, () => job(whoAmI, [...root, forged])],
    ['X_User, x_user, x-user_groups', '400', () => job(whoAmI, spellings)],
    ['the same where Envoy lets _ pass', asJob, () => laxJob(whoAmI, spellings)],
    ['past the sidecar: x-user: root', '401', () => direct(whoAmI, root)],
    ['past it, with an assertion of its own', '401', () => direct(whoAmI, [...root, forged])],
    ['past it, with a JWT-SVID', '401', () => direct(whoAmI, [...root, token])],
  ];
  return { all: all.map(([name, expected, attempt]) => ({ name, expected, attempt })), job };
}

/** Right in every word, but for the key. */
async function forgeAssertion(): Promise<readonly [string, string]> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  const headers = { 'x-user': 'root', 'x-user-groups': 'shop' };
  const assertion = await new SignJWT({ headers })
    .setProtectedHeader({ alg: 'ES256', typ: 'assertion+jwt', jwk })
    .setIssuer('spiffe://example.org')
    .setAudience(appId)
    .setSubject(adaId)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  return ['x-identity-assertion', assertion];
}

/** A token that the same trust domain signed for the same audience. */
async function fetchToken({ trustplane }: Place): Promise<readonly [string, string]> {
  const flags = ['--socket', trustplane.socket, '--audience', appId, '--spiffe-id', jobId];
  const finished = await runTrustplane('api', 'fetch', 'jwt', ...flags, '--output', 'json');
  if (finished.code !== 0) throw new Error(`api fetch jwt failed: ${finished.stderr}`);
  const { svids }: { svids: readonly { token: string }[] } = JSON.parse(finished.stdout);
  return ['x-identity-assertion', svids[0]?.token ?? ''];
}
