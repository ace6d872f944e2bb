import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  formatSelector,
  messageOf,
  parseSelector,
  SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import { type AttestedAgent, checkAgentId } from './agent.ts';

const VERSION = 1;
const MAX_BYTES = 65_536;
const decoder = new TextDecoder('utf-8', { fatal: true });
const instant = z.int().nonnegative();

const svid = z.strictObject({
  serial: z.string().regex(/^[0-9a-f]{1,40}$/u),
  expiresAt: instant,
  key: z.string().regex(/^[A-Za-z0-9_-]{43}$/u),
});

/** Version 1. A later version keeps this schema and adds the step from it to itself. */
const schema = z.strictObject({
  v: z.literal(VERSION),
  id: z.string(),
  type: z.string().min(1),
  selectors: z.array(z.string()),
  svid,
  renewed: svid.optional(),
  banned: z.boolean(),
  canReattest: z.boolean(),
  version: z.string(),
  attestedAt: instant,
});

/** The store key: a hash, as an ID has characters that keys have not, and may be longer. */
export function agentKey(id: SpiffeId): string {
  return createHash('sha256').update(id.toString()).digest('base64url');
}

/** @throws TrustplaneError ERR_AGENT_TOO_LARGE */
export function encodeAgentRecord(agent: AttestedAgent): Uint8Array {
  const record: z.input<typeof schema> = {
    v: VERSION,
    id: agent.id.toString(),
    type: agent.attestationType,
    selectors: agent.selectors.map(formatSelector),
    svid: svidRecord(agent.svid),
    renewed: agent.renewedSvid && svidRecord(agent.renewedSvid),
    banned: agent.banned,
    canReattest: agent.canReattest,
    version: agent.agentVersion,
    attestedAt: agent.attestedAt,
  };
  const bytes = Buffer.from(JSON.stringify(record));
  if (bytes.length <= MAX_BYTES) return bytes;
  throw new TrustplaneError(
    'ERR_AGENT_TOO_LARGE',
    `agent ${agent.id.toString()}: expected at most ${MAX_BYTES} bytes in all; got ${bytes.length}`,
  );
}

/**
 * Reads a stored record, which is of the agent that its key names.
 * @throws TrustplaneError ERR_AGENT_RECORD
 */
export function decodeAgentRecord(
  key: string,
  value: Uint8Array,
  trustDomain: TrustDomain,
): AttestedAgent {
  try {
    const record = schema.parse(JSON.parse(decoder.decode(value)));
    const id = SpiffeId.parse(record.id);
    checkAgentId(id, trustDomain);
    if (agentKey(id) !== key) throw new Error(`it is of another agent, ${id.toString()}`);
    return {
      id,
      attestationType: record.type,
      selectors: record.selectors.map(parseSelector),
      svid: svidOf(record.svid),
      renewedSvid: record.renewed && svidOf(record.renewed),
      banned: record.banned,
      canReattest: record.canReattest,
      agentVersion: record.version,
      attestedAt: record.attestedAt,
    };
  } catch (error) {
    throw new TrustplaneError(
      'ERR_AGENT_RECORD',
      `the agent stored at ${key} cannot be read: ${messageOf(error)}`,
      { cause: error },
    );
  }
}

function svidRecord({ serialNumber, expiresAt, keyDigest }: AttestedAgent['svid']) {
  return { serial: serialNumber, expiresAt, key: keyDigest };
}

function svidOf({ serial, expiresAt, key }: z.output<typeof svid>): AttestedAgent['svid'] {
  return { serialNumber: serial, expiresAt, keyDigest: key };
}
