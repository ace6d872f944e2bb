import { parseIdPattern } from '../authz/deciding.ts';
import type { FactsView } from '../facts/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, issueInstant, TrustplaneError, type X509Svid } from '../spiffe/index.ts';
import {
  type BytesService,
  serveTcp,
  serveTls,
  serveUnix,
  type TlsIdentity,
} from '../wire/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { type AuthzIdentity, openAuthzIdentity } from './authz-identity.ts';
import type { AuthzListenConfig, AuthzTlsConfig } from './authz-listen-config.ts';

/** Of calls that are open at one time, on each listener; each holds some 10 KiB. */
const MAX_CALLS = 20_000;
const MAX_CALLS_PER_CALLER = 10_000;

export interface AuthzListenersOptions {
  readonly config: AuthzConfig;
  readonly agentSocket: string;
  readonly bytes: BytesService;
  readonly facts: FactsView;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  /** Told why TLS is not served (yet), and undefined when it is. */
  readonly onFault: (fault: string | undefined) => void;
}

interface Listener {
  close(graceMs: number): Promise<void>;
}

/** Where proxies ask. */
export class AuthzListeners {
  readonly #options: AuthzListenersOptions;
  readonly #listeners: Listener[] = [];
  #identity: AuthzIdentity | undefined;
  #tls: Promise<void> | undefined;
  #isClosed = false;

  private constructor(options: AuthzListenersOptions) {
    this.#options = options;
  }

  /** TLS begins when there is something to present. @throws TrustplaneError ERR_SOCKET_*, ERR_LISTEN, ERR_TLS_IDENTITY */
  static async open(options: AuthzListenersOptions): Promise<AuthzListeners> {
    const listeners = new AuthzListeners(options);
    const { socket, listen } = options.config;
    try {
      if (socket !== undefined) listeners.#listeners.push(await listeners.#serveUnix(socket));
      if (listen !== undefined) await listeners.#listen(listen);
    } catch (error) {
      await listeners.close(0);
      throw error;
    }
    return listeners;
  }

  /** Accepts no more, answers what was asked, and waits as long for connections to end. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    await this.#tls?.catch(() => {});
    await Promise.all(this.#listeners.map(async (listener) => await listener.close(graceMs)));
    await this.#identity?.close();
  }

  async #serveUnix(path: string): Promise<Listener> {
    const { bytes, log, metrics, clock } = this.#options;
    return await serveUnix({
      path,
      mode: 0o777,
      bytes,
      maxCalls: MAX_CALLS,
      name: 'authz',
      log,
      metrics,
      clock,
    });
  }

  async #listen({ host, port, tls }: AuthzListenConfig): Promise<void> {
    const { bytes, log, metrics, clock, agentSocket } = this.#options;
    if (tls === undefined) {
      const common = { bytes, maxCalls: MAX_CALLS, name: 'authz-tcp', log, metrics, clock };
      this.#listeners.push(await serveTcp({ host, port, ...common }));
      return;
    }
    const identity = await openAuthzIdentity({ source: tls.identity, agentSocket, clock, log });
    this.#identity = identity;
    const begin = async (): Promise<void> => {
      const fault = identity.fault();
      if (identity.current() !== undefined && !this.#isClosed) {
        this.#tls ??= this.#serveTls({ host, port }, tls, identity);
        await this.#tls;
      }
      this.#options.onFault(fault);
    };
    identity.watch(() => void begin().catch((error: unknown) => this.#failed(error)));
    await begin();
  }

  async #serveTls(
    address: Pick<AuthzListenConfig, 'host' | 'port'>,
    tls: AuthzTlsConfig,
    identity: AuthzIdentity,
  ): Promise<void> {
    const { bytes, facts, log, metrics, clock } = this.#options;
    const listener = await serveTls({
      ...address,
      bytes,
      identity: () => presented(identity),
      trust: () => facts.trust().own,
      admits: admission(tls, facts),
      limits: {
        maxCalls: MAX_CALLS,
        maxCallsPerCaller: MAX_CALLS_PER_CALLER,
        ...(!tls.admitsAnonymous && { maxAnonymousConnections: 0 }),
      },
      name: 'authz-tls',
      log,
      metrics,
      clock,
    });
    this.#listeners.push(listener);
  }

  #failed(error: unknown): void {
    const fault = error instanceof TrustplaneError ? error.message : String(error);
    this.#options.log.error({ error: fault }, 'TLS is not served to proxies');
    this.#options.onFault(fault);
    this.#tls = undefined;
  }
}

function presented(identity: AuthzIdentity): TlsIdentity {
  const current = identity.current();
  if (current !== undefined) return current;
  throw new TrustplaneError('ERR_TLS_IDENTITY', identity.fault() ?? 'there is no certificate');
}

/** Who may ask: of the configured patterns, and not revoked. */
function admission({ clients }: AuthzTlsConfig, facts: FactsView): (svid: X509Svid) => boolean {
  const patterns = clients?.map((text) => parseIdPattern(text));
  return ({ spiffeId, leaf }) => {
    const id = spiffeId.toString();
    if (patterns?.some((pattern) => pattern.matches(id)) === false) return false;
    const { serialNumber } = leaf;
    const subject = { agentId: undefined, spiffeId, issuedAt: issueInstant(leaf), serialNumber };
    return facts.findRevocation(subject) === undefined;
  };
}
