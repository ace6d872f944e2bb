import type { EntryRegistry } from '../entries/index.ts';
import type { Relationships } from '../federation/index.ts';
import type { Log } from '../ops/index.ts';
import {
  type AuditLog,
  type Clock,
  type SuspensionSource,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { WireEntryDocument, WireRelationshipDocument } from './apply-messages.ts';
import type { PlanTargets } from './perform-plan.ts';
import type { UserNames } from './requester-of.ts';
import type { WorkloadReports } from './workload-reports.ts';

export interface ApplyServiceOptions {
  readonly trustDomain: TrustDomain;
  /** All that stands; it is changed through `targets`. */
  readonly entries: Pick<
    EntryRegistry,
    'standing' | 'standingLike' | 'all' | 'revision' | 'catchUpNow'
  >;
  readonly targets: Omit<PlanTargets, 'standing' | 'relationships'>;
  readonly relationships: Pick<Relationships, 'get' | 'all' | 'replace' | 'delete'>;
  readonly workloads: Pick<WorkloadReports, 'list' | 'gaps'>;
  /** Default: nothing is suspended. */
  readonly suspensions?: SuspensionSource;
  /** Told what was done, and by whom, before it is answered. */
  readonly audit: Pick<AuditLog, 'record'>;
  readonly userName: UserNames;
  /** The bucket `leases`: one server at a time writes a set. */
  readonly leases: Bucket;
  readonly serverId: string;
  /** Other servers that live; workloads of their agents are not known here. */
  readonly otherServers: () => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** trustplane.admin.v1.Begin */
export interface WireBegin {
  readonly set?: string;
  readonly prune?: boolean;
  readonly dry_run?: boolean;
  readonly allow_removals?: boolean;
  readonly take_over?: boolean;
  readonly expected_plan?: Uint8Array;
  readonly ids_are_hints?: boolean;
}

/** trustplane.admin.v1.Documents */
export interface WireDocuments {
  readonly entries?: readonly WireEntryDocument[];
  readonly relationships?: readonly WireRelationshipDocument[];
}

export interface ApplyRequest {
  readonly begin?: WireBegin | null;
  readonly documents?: WireDocuments | null;
}

/** A request that begins, with its set parsed. */
export type Begun = WireBegin & { readonly set: string };

export function malformed(message: string): TrustplaneError {
  return new TrustplaneError('ERR_APPLY_REQUEST', message);
}
