import { createHash } from 'node:crypto';
import { z } from 'zod';
import { messageOf, SpiffeId, TrustplaneError } from '../spiffe/index.ts';

/** What is remembered of a token; the token itself is not. */
export interface JoinTokenRecord {
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  /** What the agent is to be known as, beside the ID that its token gives it. */
  readonly agentId: SpiffeId | undefined;
  readonly isSpent: boolean;
}

const VERSION = 1;
const decoder = new TextDecoder('utf-8', { fatal: true });

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  expiresAt: z.int().nonnegative(),
  agentId: z.string().optional(),
  spent: z.boolean(),
});

/** The store key of a token: its SHA-256, so that who reads the store can join with none. */
export function joinTokenKey(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

export function encodeJoinToken(record: JoinTokenRecord): Uint8Array {
  const fields: z.input<typeof schema> = {
    v: VERSION,
    expiresAt: record.expiresAt,
    agentId: record.agentId?.toString(),
    spent: record.isSpent,
  };
  return Buffer.from(JSON.stringify(fields));
}

/** @throws TrustplaneError ERR_JOIN_TOKEN_RECORD */
export function decodeJoinToken(key: string, value: Uint8Array): JoinTokenRecord {
  try {
    const { expiresAt, agentId, spent } = schema.parse(JSON.parse(decoder.decode(value)));
    return {
      expiresAt,
      agentId: agentId === undefined ? undefined : SpiffeId.parse(agentId),
      isSpent: spent,
    };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_JOIN_TOKEN_RECORD',
      `the join token stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
