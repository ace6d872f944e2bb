import type { Log } from '../../ops/index.ts';
import { type Clock, type Selector, TrustplaneError } from '../../spiffe/index.ts';
import { type Executable, ExecutableReader } from './executable.ts';
import { NameDatabase } from './name-database.ts';
import { readProcStatus } from './proc-files.ts';
import { type ProcessCredentials, parseProcStatus } from './proc-status.ts';
import type { AttestableProcess, WorkloadAttestor } from './workload-attestor.ts';

export interface UnixAttestorOptions {
  readonly log: Log;
  readonly clock: Clock;
  /** Also give `unix:path` and `unix:sha256`. Another user's executable can be read by root only; else they are left out. */
  readonly discoverWorkloadPath: boolean;
  /** Longer executables get no `unix:sha256`; 0: none gets one. */
  readonly maxExecutableBytes: number;
  /** Default /etc/passwd. */
  readonly passwdFile?: string;
  /** Default /etc/group. */
  readonly groupFile?: string;
}

/**
 * The `unix` selectors, as SPIRE names them: `uid`, `gid` (effective), `user`, `group`,
 * `supplementary_gid`, `supplementary_group`, `path`, `sha256`.
 */
export function createUnixAttestor(options: UnixAttestorOptions): WorkloadAttestor {
  const warn = (why: string): void => options.log.warn({ why }, 'names are left out of selectors');
  const users = new NameDatabase(options.passwdFile ?? '/etc/passwd', warn);
  const groups = new NameDatabase(options.groupFile ?? '/etc/group', warn);
  const executables = options.discoverWorkloadPath ? new ExecutableReader(options) : undefined;
  return {
    name: 'unix',
    async attest(process, again) {
      const executable = await executables?.read(process, again);
      const credentials = parseProcStatus(readProcStatus(process.pid));
      requireSameCredentials(process, credentials);
      return [
        ...credentialSelectors(credentials, users, groups),
        ...executableSelectors(executable),
      ];
    },
  };
}

/**
 * A process that connects, keeps the connection in a child and then runs a set-user-ID program has
 * credentials that are not its own doing. Who drops privileges has to connect after that.
 */
function requireSameCredentials(process: AttestableProcess, now: ProcessCredentials): void {
  if (now.uid === process.uid && now.gid === process.gid) return;
  throw new TrustplaneError(
    'ERR_ATTEST_PROCESS_CHANGED',
    `process ${process.pid} connected as ${process.uid}:${process.gid} and is ${now.uid}:${now.gid} now; it has to connect again`,
  );
}

function credentialSelectors(
  { uid, gid, supplementaryGids }: ProcessCredentials,
  users: NameDatabase,
  groups: NameDatabase,
): Selector[] {
  return [
    ...selector('uid', String(uid)),
    ...selector('user', users.nameOf(uid)),
    ...selector('gid', String(gid)),
    ...selector('group', groups.nameOf(gid)),
    ...supplementaryGids.flatMap((id) => [
      ...selector('supplementary_gid', String(id)),
      ...selector('supplementary_group', groups.nameOf(id)),
    ]),
  ];
}

function executableSelectors(executable: Executable | undefined): Selector[] {
  return [...selector('path', executable?.path), ...selector('sha256', executable?.sha256)];
}

function selector(name: string, value: string | undefined): Selector[] {
  return value === undefined || value === '' ? [] : [{ type: 'unix', value: `${name}:${value}` }];
}
