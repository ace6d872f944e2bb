import type { Log } from '../ops/index.ts';
import { pause } from '../ops/pause.ts';
import {
  type Bundle,
  type Clock,
  messageOf,
  type SpiffeId,
  type TrustDomain,
  TrustplaneError,
} from '../spiffe/index.ts';
import type { TlsIdentity } from '../wire/index.ts';
import type { WorkloadApiClient } from './workload-api-client.ts';
import type { X509Context } from './x509-context.ts';

const RETRY_MS = 5_000;

export interface UpstreamIdentityOptions {
  readonly workloadApi: WorkloadApiClient;
  /** Which of its SVIDs; undefined: the first. */
  readonly spiffeId: SpiffeId | undefined;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  readonly log: Log;
}

/** What a server shows upstream, and judges servers there by. */
interface Held {
  readonly identity: TlsIdentity;
  readonly bundle: Bundle;
}

/** The SVID that a server has from a Workload API, kept fresh; its default one. */
export class UpstreamIdentity {
  readonly #options: UpstreamIdentityOptions;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #held: Held | undefined;
  #fault = 'it has not answered yet';
  #first = Promise.withResolvers<void>();

  constructor(options: UpstreamIdentityOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Undefined while there is none. */
  get current(): Held | undefined {
    return this.#held;
  }

  /** Waits for the first. @throws TrustplaneError ERR_UPSTREAM_IDENTITY */
  async require(timeoutMs: number): Promise<void> {
    if (this.#held === undefined) {
      const timer = this.#options.clock.setTimer(timeoutMs, () => this.#first.resolve());
      await this.#first.promise;
      timer.cancel();
      if (this.#held === undefined) this.#first = Promise.withResolvers();
    }
    if (this.#held !== undefined) return;
    throw new TrustplaneError(
      'ERR_UPSTREAM_IDENTITY',
      `the Workload API gives this server no SVID to call upstream with: ${this.#fault}`,
    );
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#first.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#watch(signal);
      } catch (error) {
        this.#note(messageOf(error));
      }
      await pause(this.#options.clock, RETRY_MS, signal);
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    for await (const event of this.#options.workloadApi.watchX509(signal)) {
      if (event.type === 'update') this.#take(event.context);
      else this.#note(event.error.message);
    }
  }

  #take({ svids, bundles }: X509Context): void {
    const { spiffeId, trustDomain, log } = this.#options;
    const svid = svids.find(
      (one) =>
        one.svid.spiffeId.trustDomain.equals(trustDomain) &&
        (spiffeId === undefined || one.svid.spiffeId.equals(spiffeId)),
    );
    const bundle = bundles.get(trustDomain.name);
    if (svid === undefined || bundle === undefined) {
      const wanted = spiffeId?.toString() ?? `a workload of ${trustDomain.id}`;
      const got = svids.slice(0, 5).map((one) => one.svid.spiffeId.toString());
      this.#note(`expected the SVID of ${wanted}; got ${got.join(', ')}`);
      return;
    }
    const { certificateChain, privateKey } = svid;
    this.#held = { identity: { certificateChain, privateKey }, bundle };
    this.#first.resolve();
    log.debug({ spiffeId: svid.svid.spiffeId.toString() }, 'an SVID to call upstream with');
  }

  /** What is held stays in use: it may be valid still. */
  #note(fault: string): void {
    if (fault !== this.#fault) this.#options.log.warn({ error: fault }, 'no SVID from upstream');
    this.#fault = fault;
  }
}
