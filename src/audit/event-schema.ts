import { z } from 'zod';
import type { AuditEvent } from '../spiffe/index.ts';

const text = z.string().max(16_384);
const instant = z.int().nonnegative();
const hex = z.string().regex(/^[0-9a-f]{1,128}$/u);

const requester = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.enum(['agent', 'spiffe-id']), spiffeId: text }),
  z.strictObject({ kind: z.literal('user'), uid: z.int(), name: text.optional() }),
  z.strictObject({ kind: z.literal('server') }),
]);

const issuance = {
  spiffeId: text,
  issuedAt: instant,
  expiresAt: instant,
  authorityId: text,
  entryId: text.optional(),
  entryRevision: z.int().nonnegative().optional(),
  attestationDigest: hex.optional(),
  requester,
  purpose: z.enum(['workload', 'agent', 'mint', 'downstream', 'server']),
};

const eventSchema: z.ZodType<AuditEvent> = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('x509-svid'), serialNumber: hex, ...issuance }),
  z.strictObject({
    kind: z.literal('jwt-svid'),
    tokenDigest: hex,
    audience: z.array(text).max(64),
    ...issuance,
  }),
  z.strictObject({
    kind: z.literal('attestation'),
    agentId: text.optional(),
    attestor: text,
    attestationDigest: hex.optional(),
    outcome: z.enum(['admitted', 'refused']),
    code: text.optional(),
    from: text.optional(),
    unrecorded: z.int().positive().optional(),
  }),
  z.strictObject({
    kind: z.literal('admin'),
    method: text,
    requester,
    outcome: text,
    what: text,
  }),
  z.strictObject({
    kind: z.literal('ledger'),
    what: z.enum(['begun', 'cut', 'broken', 'resumed', 'removed']),
    detail: text,
  }),
]);

/** @throws Error when it is no event of this version */
export function parseEvent(json: string): AuditEvent {
  return eventSchema.parse(JSON.parse(json));
}
