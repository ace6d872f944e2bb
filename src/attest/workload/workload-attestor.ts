import type { Selector } from '../../spiffe/index.ts';

/** The process behind a connection, named by the kernel. */
export interface AttestableProcess {
  readonly pid: number;
  /** Effective user and group when it connected. */
  readonly uid: number;
  readonly gid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTime: string;
  /** False for good once this process has exited, whoever has its pid then. */
  isAlive(): boolean;
}

/** Finds out facts about a process. A new kind of fact is a new attestor in the list of `app/`. */
export interface WorkloadAttestor {
  readonly name: string;
  /** It takes no longer than this; default: what holds for all. */
  readonly timeoutMs?: number;
  /**
   * The facts of this moment. May give less than it could find out (a selector that is missing
   * entitles to nothing), never more; `again` is called when another attestation would find more.
   * @throws TrustplaneError ERR_ATTEST_PROCESS_GONE, ERR_ATTEST_PROCESS_CHANGED: nothing is served to the process
   */
  attest(process: AttestableProcess, again: () => void): Promise<readonly Selector[]>;
}
