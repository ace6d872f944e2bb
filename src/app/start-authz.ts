import { randomBytes } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import { type AssertionKeys, openAssertionKeys } from '../check/index.ts';
import type { FactsFeed } from '../facts/index.ts';
import type { Log } from '../ops/index.ts';
import { messageOf, type TrustDomain } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { AuthzThread } from './authz-thread.ts';
import { showPolicies } from './policy-health.ts';
import type { PolicySource } from './policy-source.ts';
import { keepListening, type Process } from './process.ts';

/** So many lives in this time are too many: the process ends, and what supervises it begins anew. */
const MAX_DEATHS = 5;
const WITHIN_MS = 60_000;
const JWKS_PAGE = '/authz/jwks.json';

export interface AuthzOptions {
  readonly config: AuthzConfig;
  readonly process: Process;
  readonly trustDomain: TrustDomain;
  /** Of the Workload API that gives the SVID to present over TLS. */
  readonly agentSocket: string;
  /** Whom to trust and who was revoked, live. */
  readonly facts: Pick<FactsFeed, 'open'>;
  readonly policies: PolicySource;
  /** Makes ports to what publishes decisions; see `publishDecisions`. */
  readonly openDecisions?: (() => MessagePort) | undefined;
}

/** Who answers checks. */
export interface AuthzServer {
  /** The digest of the policies by which requests are decided; undefined: all are denied. */
  inForce(): string | undefined;
  /** Calls back after each change of it, until the returned function is called. */
  watch(listener: () => void): () => void;
}

/**
 * Answers proxies' questions about requests on a thread of its own; resolves when it does. A thread that
 * dies takes its listeners with it, and another one takes its place at once; the sixth death within a
 * minute ends the process. Closed with `process`.
 * @throws TrustplaneError ERR_SOCKET_*, ERR_LISTEN, ERR_TLS_IDENTITY, ERR_ASSERTION_KEYS
 */
export async function startAuthz(options: AuthzOptions): Promise<AuthzServer> {
  const { process, policies, config } = options;
  const assertionKeys = await openKeys(config, process);
  const server = new LastingAuthz({ ...options, assertionKeys });
  keepListening(process, server);
  process.readiness.require('authz', () => server.fault());
  process.readiness.describe('authz', () => describeListeners(config));
  showPolicies(process, config.policies, policies, () => server.inForce());
  if (config.listen?.tls !== undefined)
    process.readiness.observe('authz-tls', () => server.tlsFault());
  await server.start();
  return server;
}

function describeListeners({ socket, listen }: AuthzConfig): string {
  const address = listen && `${listen.host}:${listen.port}`;
  const unix = socket === undefined ? undefined : `unix://${socket}`;
  return [unix, address].filter((one) => one !== undefined).join(', ');
}

/** What signs assertions; the public keys are on the page with metrics and health. */
async function openKeys(
  { assertion }: AuthzConfig,
  { clock, log, closing, pages }: Process,
): Promise<AssertionKeys | undefined> {
  if (assertion === undefined) return undefined;
  const keys = await openAssertionKeys({ file: assertion.keyFile, clock, log, randomBytes });
  closing.defer(async () => await keys.close());
  pages.set(JWKS_PAGE, () => keys.jwks());
  return keys;
}

interface LastingOptions extends AuthzOptions {
  readonly assertionKeys: AssertionKeys | undefined;
}

class LastingAuthz implements AuthzServer {
  readonly #options: LastingOptions;
  readonly #listeners = new Set<() => void>();
  readonly #restarts;
  #thread: AuthzThread;
  /** When threads died, in milliseconds. */
  #deaths: number[] = [];
  #isStarted = false;
  #inForce: string | undefined;
  #closed: Promise<void> | undefined;

  constructor(options: LastingOptions) {
    this.#options = options;
    this.#thread = this.#begin();
    const { metrics } = options.process;
    metrics.join(async () => await this.#thread.figures());
    this.#restarts = metrics.counter(
      'trustplane_authz_thread_restarts_total',
      'Threads that answered checks, died and were replaced.',
    );
  }

  async start(): Promise<void> {
    await this.#thread.listening();
    this.#isStarted = true;
  }

  inForce(): string | undefined {
    return this.#thread.inForce;
  }

  watch(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  fault(): string | undefined {
    return this.#thread.isWarm ? undefined : 'it is being warmed up';
  }

  tlsFault(): string | undefined {
    return this.#thread.fault;
  }

  close(graceMs: number): Promise<void> {
    return (this.#closed ??= this.#thread.close(graceMs));
  }

  #begin(): AuthzThread {
    return new AuthzThread({
      ...this.#options,
      onChange: () => this.#tell(),
      onEnd: (error) => this.#replace(error),
      onStuck: (error) => this.#giveUp(error),
    });
  }

  #tell(): void {
    const inForce = this.inForce();
    if (inForce === this.#inForce) return;
    this.#inForce = inForce;
    for (const listener of this.#listeners) listener();
  }

  /** Before it had begun to serve, its failure is that of the start. */
  #replace(error: Error): void {
    if (!this.#isStarted || this.#closed !== undefined) return;
    const { log, clock, fail } = this.#options.process;
    const now = clock.now();
    this.#deaths = [...this.#deaths.filter((at) => Math.abs(now - at) < WITHIN_MS), now];
    log.error({ error: error.message, deaths: this.#deaths.length }, 'authz has failed');
    if (this.#deaths.length > MAX_DEATHS) return fail(error);
    this.#restarts.inc();
    this.#thread = this.#begin();
    this.#tell();
    void this.#awaitThread(log);
  }

  /** Nothing takes the place of a thread that keeps its socket, nor can it be made to end. */
  #giveUp(error: Error): void {
    const { log, fail } = this.#options.process;
    log.error({ error: error.message }, 'authz stands still, and so the process ends');
    fail(error);
  }

  async #awaitThread(log: Log): Promise<void> {
    try {
      await this.#thread.listening();
    } catch (error) {
      log.error({ error: messageOf(error) }, 'authz does not serve again');
    }
  }
}
