import { isIP } from 'node:net';
import {
  type ErrorCode,
  messageOf,
  parseSelector,
  quote,
  TrustplaneError,
} from '../../../spiffe/index.ts';
import type { AskHttp, HttpAnswer } from '../cloud/ask-http.ts';
import type { NodeAttestor } from '../node-attestor.ts';
import { createAddressGuard } from './challenge-address.ts';
import { parseDnsPattern } from './dns-pattern.ts';
import {
  type ChallengePlace,
  challengePath,
  encodeChallenge,
  parsePlace,
} from './http-challenge-messages.ts';

const NAME = 'http_challenge';
const NONCE_BYTES = 32;
const FIRST_UNTRUSTED_PORT = 1_024;
const MAX_ANSWER_BYTES = 1_024;
const MAX_ADDRESSES = 8;

export interface HttpChallengeAttestorOptions {
  /** Of the hosts that may join; see `parseDnsPattern`. At least one. */
  readonly allowedDnsPatterns: readonly string[];
  /** The only one that hosts may answer at. */
  readonly requiredPort?: number | undefined;
  /** Also 1024 and above, which any user of a host may open; default true. */
  readonly allowNonRootPorts?: boolean | undefined;
  /** A host joins once until its agent is evicted; default true. */
  readonly tofu?: boolean | undefined;
  /** Networks of the hosts; default all but those of `createAddressGuard`. */
  readonly allowedAddresses?: readonly string[] | undefined;
  /** The addresses of a name, now. Rejects when there are none. */
  readonly resolve: (hostname: string) => Promise<readonly string[]>;
  readonly ask: AskHttp;
  readonly randomBytes: (size: number) => Uint8Array;
}

/**
 * The server's side of SPIRE's http_challenge: a host shows that it has a DNS name by answering there with
 * a nonce over HTTP. The name is resolved once; what is asked is an address that was checked.
 * @throws TrustplaneError ERR_CONFIG
 */
export function createHttpChallengeAttestor(options: HttpChallengeAttestorOptions): NodeAttestor {
  const { tofu = true, randomBytes } = options;
  const patterns = inConfig(() => options.allowedDnsPatterns.map(parseDnsPattern));
  const isAllowed = inConfig(() => createAddressGuard(options.allowedAddresses));
  requireTrustedPorts(options);
  return {
    name: NAME,
    async attest(payload, challenge) {
      const place = parsePlace(payload);
      const { hostname } = place;
      requirePort(place, options);
      if (!patterns.some((matches) => matches(hostname)))
        throw refused('ERR_NODE_ATTEST_HOST', `the host ${hostname} matches no allowed pattern`);
      const nonce = base64Url(randomBytes(NONCE_BYTES));
      // What it answers says nothing; that it does, that it is ready.
      await challenge(encodeChallenge(nonce));
      const addresses = await resolve(hostname, options);
      const barred = addresses.find((address) => !isAllowed(address));
      if (barred !== undefined) {
        const message = `the host ${hostname} has the address ${quote(barred)}, which is not to be asked`;
        throw refused('ERR_NODE_ATTEST_HOST', message);
      }
      requireNonce(place, await askAny(place, addresses, options.ask), nonce);
      return {
        agentPath: `/spire/agent/${NAME}/${hostname}`,
        selectors: [parseSelector(`${NAME}:hostname:${hostname}`)],
        canReattest: !tofu,
        ...(tofu && { isFirstUseOnly: true }),
      };
    },
  };
}

/** As in SPIRE: who may be anybody on the host may not come twice. */
function requireTrustedPorts(options: HttpChallengeAttestorOptions): void {
  const { tofu = true, requiredPort, allowNonRootPorts = true } = options;
  const isTrusted =
    requiredPort === undefined ? !allowNonRootPorts : requiredPort < FIRST_UNTRUSTED_PORT;
  if (!allowNonRootPorts && requiredPort !== undefined && !isTrusted)
    throw contradiction('allowNonRootPorts: false excludes the requiredPort');
  if (tofu || isTrusted) return;
  throw contradiction(
    'tofu: false needs a requiredPort below 1024, or allowNonRootPorts: false: any user of a host may open others',
  );
}

function requirePort({ port }: ChallengePlace, options: HttpChallengeAttestorOptions): void {
  const { requiredPort = port, allowNonRootPorts = true } = options;
  if (port !== requiredPort) {
    const message = `hosts answer at the port ${requiredPort}; this one would at ${port}`;
    throw refused('ERR_NODE_ATTEST_PORT', message);
  }
  if (allowNonRootPorts || port < FIRST_UNTRUSTED_PORT) return;
  const message = `hosts answer at ports below ${FIRST_UNTRUSTED_PORT}; this one would at ${port}`;
  throw refused('ERR_NODE_ATTEST_PORT', message);
}

async function resolve(
  hostname: string,
  options: Pick<HttpChallengeAttestorOptions, 'resolve'>,
): Promise<readonly string[]> {
  let addresses: readonly string[];
  try {
    addresses = await options.resolve(hostname);
  } catch (error) {
    throw noAnswer(hostname, `its name was not resolved: ${messageOf(error)}`, error);
  }
  if (addresses.length === 0) throw noAnswer(hostname, 'its name has no address');
  if (addresses.length <= MAX_ADDRESSES) return addresses;
  const message = `the host ${hostname} has ${addresses.length} addresses; at most ${MAX_ADDRESSES}`;
  throw refused('ERR_NODE_ATTEST_HOST', message);
}

/** The answer of the first address that gives one. */
async function askAny(
  { hostname, port, agentName }: ChallengePlace,
  addresses: readonly string[],
  ask: AskHttp,
): Promise<HttpAnswer> {
  const headers = { Host: `${hostname}:${port}`, Connection: 'close' };
  let last: unknown;
  for (const address of addresses) {
    const host = isIP(address) === 6 ? `[${address}]` : address;
    try {
      const url = `http://${host}:${port}${challengePath(agentName)}`;
      return await ask(url, { headers, maxBytes: MAX_ANSWER_BYTES });
    } catch (error) {
      last = error;
    }
  }
  throw noAnswer(hostname, messageOf(last), last);
}

function requireNonce({ hostname }: ChallengePlace, answer: HttpAnswer, nonce: string): void {
  const { status, body } = answer;
  if (status !== 200) {
    const message = `the host ${hostname} answers with the status ${status}, not with the nonce`;
    throw refused('ERR_NODE_ATTEST_PROOF', message);
  }
  if (body.toString('latin1').trim() === nonce) return;
  throw refused('ERR_NODE_ATTEST_PROOF', `the host ${hostname} answers with another nonce`);
}

/** With padding, as SPIRE's. */
function base64Url(bytes: Uint8Array): string {
  return `${Buffer.from(bytes).toString('base64url')}=`;
}

function inConfig<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw contradiction(messageOf(error));
  }
}

function contradiction(message: string): TrustplaneError {
  return refused('ERR_CONFIG', `server.nodeAttestors.httpChallenge: ${message}`);
}

function noAnswer(hostname: string, why: string, cause?: unknown): TrustplaneError {
  return refused(
    'ERR_NODE_ATTEST_NO_ANSWER',
    `the host ${hostname} does not answer: ${why}`,
    cause,
  );
}

function refused(code: ErrorCode, message: string, cause?: unknown): TrustplaneError {
  return new TrustplaneError(code, message, { cause });
}
