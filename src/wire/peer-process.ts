/**
 * The process behind a connection, as the kernel names it. There is one object for all connections
 * of one process (same pid, start time and credentials), while it has at least one.
 */
export interface PeerProcess {
  /** In this process's PID namespace; a number alone is not an identity, see `isAlive`. */
  readonly pid: number;
  /** Effective user and group when it connected. */
  readonly uid: number;
  readonly gid: number;
  /** Clock ticks from boot to the start of the process: field 22 of /proc/<pid>/stat. */
  readonly startTime: string;
  /** False once the process has exited, whoever holds its pid then, or has no connection left. */
  isAlive(): boolean;
}
