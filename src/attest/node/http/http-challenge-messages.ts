import { type JsonValue, quote } from '../../../spiffe/index.ts';
import { encodeMessage, MessageReader } from '../message-reader.ts';

const MAX_PAYLOAD_BYTES = 4_096;
const MAX_CHALLENGE_BYTES = 1_024;
/** 32 random bytes as base64url, with or without padding. */
const NONCE = /^[A-Za-z0-9_-]{43}=?$/u;
const HOSTNAME =
  /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*$/u;
/** What resolvers take for an IPv4 address ends so. */
const NUMERIC = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/u;
const AGENT_NAME = /^[A-Za-z][A-Za-z0-9-]{0,31}$/u;

/** Where an agent says that it answers. The messages are SPIRE's: JSON. */
export interface ChallengePlace {
  /** Lower case, no address, no dot at the end. */
  readonly hostname: string;
  readonly agentName: string;
  readonly port: number;
}

export function encodePlace({ hostname, agentName, port }: ChallengePlace): Uint8Array {
  return encodeMessage({ hostname, agentname: agentName, port });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_PAYLOAD */
export function parsePlace(payload: Uint8Array): ChallengePlace {
  const read = new MessageReader('ERR_NODE_ATTEST_PAYLOAD', 'the attestation data');
  const document = read.document(payload, MAX_PAYLOAD_BYTES);
  const hostname = read.text(document, 'hostname', 253);
  const fault = hostnameFault(hostname);
  if (fault !== undefined) throw read.refused(`has a hostname that ${fault}: ${quote(hostname)}`);
  const agentName = read.text(document, 'agentname', 32);
  if (!AGENT_NAME.test(agentName)) {
    throw read.refused(`has an agentname that is not letters, digits and "-": ${quote(agentName)}`);
  }
  const port = document.get('port');
  if (!isPort(port)) throw read.refused('has a port that is not a number of 1 to 65535');
  return { hostname, agentName, port };
}

/** Undefined: it is one. */
export function hostnameFault(hostname: string): string | undefined {
  if (hostname !== hostname.toLowerCase()) return 'is not in lower case';
  if (!HOSTNAME.test(hostname)) return 'is no DNS name';
  if (NUMERIC.test(hostname)) return 'is an address';
  if (/(?:^|\.)localhost$/u.test(hostname)) return "is the server's own";
  return undefined;
}

export function encodeChallenge(nonce: string): Uint8Array {
  return encodeMessage({ nonce });
}

/** @throws TrustplaneError ERR_NODE_ATTEST_CHALLENGE */
export function parseChallenge(bytes: Uint8Array): string {
  const read = new MessageReader('ERR_NODE_ATTEST_CHALLENGE', 'the challenge');
  const nonce = read.text(read.document(bytes, MAX_CHALLENGE_BYTES), 'nonce', 64);
  if (NONCE.test(nonce)) return nonce;
  throw read.refused('has a nonce that is not 32 bytes as base64url');
}

export function challengePath(agentName: string): string {
  return `/.well-known/spiffe/nodeattestor/http_challenge/${agentName}/challenge`;
}

function isPort(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535;
}
