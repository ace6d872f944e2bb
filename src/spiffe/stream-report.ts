/** How one name of a stream stands. */
export interface ResourceReport {
  /** `Secret` and other types of xDS; `X509-SVID`, `JWT-SVID`. */
  readonly type: string;
  /** Of a JWT-SVID: its audience. */
  readonly name: string;
  /** Nothing to be sent, or sent and not answered, or in force, or refused by the client. */
  readonly state: 'waiting' | 'sent' | 'taken' | 'refused';
  /** What the client said of it; cut to 500 characters. */
  readonly refusal?: string | undefined;
  /** When it was sent or refused; milliseconds since the epoch. */
  readonly at?: number | undefined;
}

/** An open stream of a local process, as it stands now, for whoever asks why. */
export interface StreamReport {
  /** `SDS`, `ADS`, or the method of the Workload API. */
  readonly service: string;
  readonly pid: number;
  readonly uid: number;
  /** As the kernel has it; see PeerProcess. */
  readonly startTime: string;
  /** What an Envoy calls itself; empty for none. */
  readonly node: string;
  /** Milliseconds since the epoch. */
  readonly openedAt: number;
  /** At most 1000. */
  readonly resources: readonly ResourceReport[];
  /** Why it ended; undefined while it is open. */
  readonly ended?: string | undefined;
}

/** Where streams are noted while they are open. Returns what is to be called at the end, perhaps with why. */
export interface StreamRegister {
  open(report: () => StreamReport): (ended?: string) => void;
}
