import type { X509Context } from '../client/index.ts';
import { type Log, pause } from '../ops/index.ts';
import { type Clock, messageOf } from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';
import type { AuthzTlsConfig } from './authz-listen-config.ts';
import { CertificateFiles } from './certificate-files.ts';

const RETRY_MS = 5_000;

export interface AuthzIdentityOptions {
  readonly source: AuthzTlsConfig['identity'];
  /** Of the Workload API, unless the source names one. */
  readonly agentSocket: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** What is presented to proxies over TLS, live. */
export interface AuthzIdentity {
  /** Undefined until there is one. */
  current(): TlsIdentity | undefined;
  /** Why there is none, or no newer one; undefined: all is well. */
  fault(): string | undefined;
  /** Calls back after each change. */
  watch(listener: () => void): void;
  close(): Promise<void>;
}

/** @throws TrustplaneError ERR_TLS_IDENTITY when files do not hold one */
export async function openAuthzIdentity(options: AuthzIdentityOptions): Promise<AuthzIdentity> {
  const { source } = options;
  if (source.kind === 'workload-api') return new WorkloadIdentity(options, source);
  const files = await CertificateFiles.open({ ...options, ...source });
  return {
    current: () => files.current(),
    fault: () => files.fault(),
    watch: () => {},
    close: async () => await files.close(),
  };
}

type WorkloadApiSource = Extract<AuthzTlsConfig['identity'], { kind: 'workload-api' }>;

/** The SVID that the Workload API gives this process; what it gave last stays in use. */
class WorkloadIdentity implements AuthzIdentity {
  readonly #options: AuthzIdentityOptions;
  readonly #source: WorkloadApiSource;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #listeners: (() => void)[] = [];
  #current: TlsIdentity | undefined;
  #fault: string | undefined = 'the Workload API has not answered yet';

  constructor(options: AuthzIdentityOptions, source: WorkloadApiSource) {
    this.#options = options;
    this.#source = source;
    this.#running = this.#run();
  }

  current(): TlsIdentity | undefined {
    return this.#current;
  }

  fault(): string | undefined {
    return this.#fault;
  }

  watch(listener: () => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#follow(signal);
      } catch (error) {
        this.#note(messageOf(error));
      }
      await pause(clock, RETRY_MS, signal);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const { agentSocket, clock } = this.#options;
    const { createWorkloadApiClient } = await import('../client/index.ts');
    const path = this.#source.socket ?? agentSocket;
    const address = { kind: 'unix', path } as const;
    const client = createWorkloadApiClient({ address, clock, random: Math.random });
    try {
      for await (const event of client.watchX509(signal)) {
        if (event.type === 'update') this.#take(event.context.svids);
        else this.#note(event.error.message);
      }
    } finally {
      client.close();
    }
  }

  #take(svids: X509Context['svids']): void {
    const wanted = this.#source.spiffeId;
    const found = svids.find(
      ({ svid }) => wanted === undefined || svid.spiffeId.toString() === wanted,
    );
    if (found === undefined) return this.#note(`the Workload API gives no SVID of ${wanted}`);
    const { certificateChain, privateKey, svid } = found;
    this.#current = { certificateChain, privateKey };
    this.#note(undefined);
    const spiffeId = svid.spiffeId.toString();
    this.#options.log.info({ spiffeId }, 'an SVID to present to proxies');
  }

  #note(fault: string | undefined): void {
    if (fault !== undefined && fault !== this.#fault) {
      this.#options.log.warn({ error: fault }, 'no SVID to present to proxies');
    }
    this.#fault = fault;
    for (const listener of this.#listeners) listener();
  }
}
