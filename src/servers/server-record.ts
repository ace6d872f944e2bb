import { z } from 'zod';
import type { LeaseRecord } from '../store/index.ts';
import { type Evidence, evidenceSchema } from './evidence.ts';
import { type PolicyReport, policyReportSchema } from './policy-report.ts';

/** One server of the control plane, as it says of itself. Instants in milliseconds since the epoch, by its clock. */
export interface ServerRecord {
  readonly serverId: string;
  /** Of one life of it. */
  readonly incarnation: string;
  readonly startedAt: number;
  readonly renewedAt: number;
  readonly version: string;
  /** Where agents reach it; undefined until it serves them. */
  readonly address: string | undefined;
  /** What tells its data directory from others on this machine; undefined where nothing does. */
  readonly place: string | undefined;
  /** Its X.509 authority that signs; undefined until one does. */
  readonly signsWith: string | undefined;
  /** Undefined until it knows which agents there are. */
  readonly evidence: Evidence | undefined;
  /** Undefined while it does not say. */
  readonly policies: PolicyReport | undefined;
}

const instant = z.int().nonnegative();
const schema = z.object({
  startedAt: instant,
  version: z.string().max(64),
  address: z.string().max(300).optional(),
  place: z.string().max(64).optional(),
  signsWith: z.string().max(128).optional(),
  evidence: evidenceSchema.optional(),
  policies: policyReportSchema.optional(),
});

const SERVER_ID = /^[A-Za-z0-9_-]{1,64}$/u;
const PREFIX = 'server.';

export function isServerId(text: string): boolean {
  return SERVER_ID.test(text);
}

/** Where the server's lease is. */
export function serverKey(serverId: string): string {
  return PREFIX + serverId;
}

type AboutServer = Omit<ServerRecord, 'serverId' | 'incarnation' | 'renewedAt'>;

/** What goes into the lease beside its holder, the incarnation. */
export function aboutServer(record: AboutServer): AboutServer {
  return record;
}

/** Undefined when it is not what a server of this release writes. */
export function parseServer(key: string, lease: LeaseRecord | undefined): ServerRecord | undefined {
  const serverId = key.slice(PREFIX.length);
  const about = schema.safeParse(lease?.about);
  if (lease === undefined || !about.success || !isServerId(serverId)) return undefined;
  const { startedAt, version, address, place, signsWith, evidence, policies } = about.data;
  const { holder: incarnation, renewedAt } = lease;
  return {
    serverId,
    incarnation,
    startedAt,
    renewedAt,
    version,
    address,
    place,
    signsWith,
    evidence,
    policies,
  };
}
