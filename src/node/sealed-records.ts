import { z } from 'zod';
import { messageOf, parseX509Svid, type SpiffeId, type TrustDomain } from '../spiffe/index.ts';
import type { Position } from '../sync/index.ts';
import type { NodeIdentity } from './node-identity.ts';
import { unreadable } from './sealed-value.ts';

/** A workload's X509-SVID with its key, as it is kept. */
export interface KeptSvid {
  readonly entryId: string;
  /** DER, leaf first. */
  readonly certificateChain: readonly Uint8Array[];
  /** PKCS#8 DER. */
  readonly privateKey: Uint8Array;
  /** When it came, milliseconds since the epoch. */
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly profile: string;
}

const bytes = z.base64().max(1_000_000);
const instant = z.int().nonnegative();
const keyed = {
  chain: z.array(bytes).min(1).max(8),
  key: bytes,
  issuedAt: instant,
};
const identitySchema = z.strictObject({ ...keyed, canReattest: z.boolean() });
const svidSchema = z.strictObject({ ...keyed, expiresAt: instant, profile: z.string() });
const positionSchema = z.strictObject({
  epoch: z.string(),
  revision: z.int().nonnegative(),
  digest: z.string().regex(/^[0-9a-f]{64}$/u),
  cursor: z.string().max(128).optional(),
});

export function encodeIdentity({ canReattest, ...identity }: NodeIdentity): Uint8Array {
  return json<typeof identitySchema>({ ...encodeKeyed(identity), canReattest });
}

/** @throws TrustplaneError ERR_CACHE_VALUE */
export function decodeIdentity(value: Uint8Array, trustDomain: TrustDomain): NodeIdentity {
  return decode('identity', () => {
    const { canReattest, ...record } = identitySchema.parse(parse(value));
    const keyed = decodeKeyed(record);
    const { spiffeId, leaf } = parseX509Svid(keyed.certificateChain);
    checkAgent(spiffeId, trustDomain);
    return { ...keyed, agentId: spiffeId, expiresAt: leaf.notAfter, canReattest };
  });
}

export function encodeSvid(svid: Omit<KeptSvid, 'entryId'>): Uint8Array {
  const { expiresAt, profile } = svid;
  return json<typeof svidSchema>({ ...encodeKeyed(svid), expiresAt, profile });
}

/** @throws TrustplaneError ERR_CACHE_VALUE */
export function decodeSvid(value: Uint8Array, entryId: string): KeptSvid {
  return decode(`svid of entry ${entryId}`, () => {
    const { expiresAt, profile, ...record } = svidSchema.parse(parse(value));
    return { entryId, ...decodeKeyed(record), expiresAt, profile };
  });
}

export function encodePosition({ epoch, revision, digest, cursor }: Position): Uint8Array {
  return json<typeof positionSchema>({ epoch, revision, digest, cursor });
}

/** @throws TrustplaneError ERR_CACHE_VALUE */
export function decodePosition(value: Uint8Array): Position {
  return decode('position', () => positionSchema.parse(parse(value)));
}

type Keyed = Omit<KeptSvid, 'entryId' | 'expiresAt' | 'profile'>;

function encodeKeyed({ certificateChain, privateKey, issuedAt }: Keyed) {
  const chain = certificateChain.map((der) => Buffer.from(der).toString('base64'));
  return { chain, key: Buffer.from(privateKey).toString('base64'), issuedAt };
}

function decodeKeyed(record: { chain: readonly string[]; key: string; issuedAt: number }): Keyed {
  return {
    certificateChain: record.chain.map(fromBase64),
    privateKey: fromBase64(record.key),
    issuedAt: record.issuedAt,
  };
}

function checkAgent(spiffeId: SpiffeId, trustDomain: TrustDomain): void {
  if (spiffeId.trustDomain.equals(trustDomain) && spiffeId.path.startsWith('/spire/agent/')) return;
  throw new Error(`${spiffeId.toString()} is no agent of ${trustDomain.name}`);
}

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

function json<T extends z.ZodType>(value: z.input<T>): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function parse(value: Uint8Array): unknown {
  return JSON.parse(Buffer.from(value).toString());
}

function decode<T>(name: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw unreadable(name, `is not of the form it should have: ${messageOf(error)}`, error);
  }
}
