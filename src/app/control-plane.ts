import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { EvidenceReport, RotationEvidence } from '../agents/index.ts';
import type { X509Gate } from '../ca/index.ts';
import { type OwnBundle, withdrawExpiredAuthorities } from '../federation/index.ts';
import {
  checkOthers,
  type Evidence,
  fingerprintOf,
  joinVerdicts,
  ServerDirectory,
  type Verdict,
} from '../servers/index.ts';
import { type Bucket, type Duty, holdDuty, type Store, soleDuty } from '../store/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import { loadServerId, placeOf } from './server-id.ts';
import { version } from './version.ts';

const INCARNATION_BYTES = 12;

/** What a server knows of the agents of others that was cut off from the store. */
const DEAF: Verdict = {
  isOpen: false,
  behind: [
    { who: 'this server', why: 'has not heard from the store what agents of other servers have' },
  ],
};

/** The servers that share a store, and this one among them. */
export interface ControlPlane {
  readonly serverId: string;
  /** Undefined where the store is of this server alone. */
  readonly directory: ServerDirectory | undefined;
  /** What one server at a time has. */
  readonly leases: Bucket;
  /** Stands in for work that one of them should do; closed with the process. @throws TrustplaneError ERR_STORE_* */
  duty(name: string): Promise<Duty>;
}

/**
 * Joins the other servers; closed with `process`.
 * @param isShared others may write the store
 * @throws TrustplaneError ERR_SERVER_ID, ERR_SERVER_ID_TAKEN, ERR_STORE_*, ERR_FILE_*
 */
export async function openControlPlane(
  config: Config,
  process: Process,
  store: Store,
  isShared: boolean,
): Promise<ControlPlane> {
  const { closing, fail, readiness } = process;
  const serverId = await loadServerId(config, isShared);
  const bucket = store.bucket('leases');
  if (!isShared)
    return { serverId, directory: undefined, leases: bucket, duty: async () => soleDuty };
  const directory = await ServerDirectory.join({
    ...process,
    bucket,
    serverId,
    incarnation: randomBytes(INCARNATION_BYTES).toString('base64url'),
    place: await placeOf(config.dataDir),
    version: version(),
    onReplaced: fail,
  });
  closing.defer(() => directory.close());
  readiness.observe('servers', () =>
    directory.isStanding ? undefined : 'the other servers take this one for gone',
  );
  return {
    serverId,
    directory,
    leases: bucket,
    async duty(name) {
      const duty = await holdDuty({ ...process, bucket, name, holder: serverId });
      closing.defer(() => duty.close());
      return duty;
    },
  };
}

/** Has one server take out what servers that are gone for good left; closed with `process`. */
export async function sweepAfterOthers(
  controlPlane: ControlPlane,
  process: Process,
  ownBundle: Pick<OwnBundle, 'withdrawExpired'>,
): Promise<void> {
  const { directory } = controlPlane;
  if (directory === undefined) return;
  const sweeping = await controlPlane.duty('sweep');
  const publisher = {
    async withdrawExpired(instant: number) {
      if (!sweeping.isMine()) return;
      await ownBundle.withdrawExpired(instant);
      await directory.forget(instant);
    },
  };
  const expiry = withdrawExpiredAuthorities({ ...process, publisher });
  process.closing.defer(() => expiry.close());
}

/** The gate of all servers: each waits for the agents of every one, and tells the others of its own. */
export function openSharedGate(
  { directory }: Pick<ControlPlane, 'directory'>,
  evidence: RotationEvidence,
  { clock }: Pick<Process, 'clock'>,
): X509Gate {
  if (directory === undefined) return evidence;
  directory.setEvidence(() => toEvidence(evidence.report()));
  evidence.watch(() => directory.sayChanged());
  return {
    check: (authority) =>
      joinVerdicts(
        evidence.check(authority),
        !directory.isCurrent
          ? DEAF
          : checkOthers(directory.others, authority, {
              now: clock.now(),
              holdMs: evidence.readersHoldMs,
            }),
      ),
    watch(listener) {
      const stops = [evidence.watch(listener), directory.watch(listener)];
      return () => {
        for (const stop of stops) stop();
      };
    },
  };
}

function toEvidence(report: EvidenceReport | undefined): Evidence | undefined {
  if (report === undefined) return undefined;
  const authorities = report.authorities.map(({ certificate, count, some }) => ({
    authority: fingerprintOf(certificate),
    count,
    some,
  }));
  return {
    known: authorities.filter(({ count }) => count === 0).map(({ authority }) => authority),
    behind: authorities.filter(({ count }) => count > 0),
    laggards: report.laggards,
    readers: report.readers,
  };
}

/** Where others reach a port that may listen on all addresses. */
export function advertisedAddress({ host, port }: { host: string; port: number }): string {
  const name = host === '0.0.0.0' || host === '::' ? hostname() : host;
  return `${name.includes(':') ? `[${name}]` : name}:${port}`;
}
