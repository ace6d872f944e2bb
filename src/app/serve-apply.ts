import {
  createApplyService,
  type createRevokingEntries,
  type WorkloadReports,
} from '../api/index.ts';
import type { GrpcService } from '../wire/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import type { ServerRole } from './server-role.ts';

/** Entries and relationships out of documents; to be guarded. */
export function serveApply(
  { trustDomain }: Config,
  { clock, log }: Process,
  server: ServerRole,
  writes: {
    readonly entries: ReturnType<typeof createRevokingEntries>;
    readonly workloads: WorkloadReports;
    readonly userName: (uid: number) => string | undefined;
  },
): GrpcService {
  const { entries, relationships, foreignBundles, revocations, audit, controlPlane } = server;
  const { serverId, directory, leases } = controlPlane;
  return createApplyService({
    trustDomain,
    entries,
    relationships,
    targets: { entries: writes.entries, foreignBundles },
    workloads: writes.workloads,
    suspensions: revocations.suspensions,
    audit,
    userName: writes.userName,
    leases,
    serverId,
    otherServers: () => directory?.others.filter(({ isLive }) => isLive).length ?? 0,
    clock,
    log,
  });
}
