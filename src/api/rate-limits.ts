import type { EventEmitter } from 'node:events';
import type { UntypedHandleCall } from '@grpc/grpc-js';
import type { Log, Metrics } from '../ops/index.ts';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { callerOf, type GrpcService, sourceNetwork } from '../wire/index.ts';
import { RateLimit } from './rate-limit.ts';

/** Calls, or items of calls, a second from one address; 0 is no limit. */
export interface Rates {
  readonly attestation: number;
  readonly signing: number;
  readonly jwtSigning: number;
}

type Limit = keyof Rates;

/** Waiting ends before the callers' own deadlines. */
const lines = {
  attestation: { what: 'attestations', maxWaiting: 10_000, maxWaitMs: 25_000 },
  signing: { what: 'X509-SVIDs', maxWaiting: 1_000, maxWaitMs: 8_000 },
  jwtSigning: { what: 'JWT-SVIDs', maxWaiting: 1_000, maxWaitMs: 8_000 },
} as const;

/** Which calls are held to which limit, as in SPIRE; a batch counts for all that is in it. */
const limited: Readonly<Record<string, Limit>> = {
  '/spire.api.server.agent.v1.Agent/AttestAgent': 'attestation',
  '/spire.api.server.agent.v1.Agent/RenewAgent': 'signing',
  '/spire.api.server.svid.v1.SVID/BatchNewX509SVID': 'signing',
  '/spire.api.server.svid.v1.SVID/NewDownstreamX509CA': 'signing',
  '/spire.api.server.svid.v1.SVID/NewJWTSVID': 'jwtSigning',
  '/spire.api.server.svid.v1.SVID/BatchNewWITSVID': 'jwtSigning',
};

export interface RateLimitsOptions {
  readonly rates: Rates;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** One for what strangers can cause. */
  readonly log: Log;
}

type Place = NonNullable<ReturnType<RateLimit['take']>>;
type Call = EventEmitter & {
  getPeer(): string;
  readonly request?: unknown;
  readonly cancelled: boolean;
};

/** Holds back calls that come faster from one address than is allowed. Callers on this host are not held back. */
export class RateLimits {
  readonly #limits: Readonly<Record<Limit, RateLimit>>;
  readonly #log: Log;
  readonly #counter;
  readonly #waiting;

  constructor({ rates, clock, metrics, log }: RateLimitsOptions) {
    const create = (limit: Limit): RateLimit =>
      new RateLimit({ ...lines[limit], ratePerSecond: rates[limit], clock });
    this.#limits = {
      attestation: create('attestation'),
      signing: create('signing'),
      jwtSigning: create('jwtSigning'),
    };
    this.#log = log;
    this.#counter = metrics.counter(
      'trustplane_api_rate_limited_total',
      'Calls that a rate limit made wait, or refused.',
      ['limit', 'outcome'],
    );
    this.#waiting = metrics.gauge(
      'trustplane_api_rate_limit_waiting_calls',
      'Calls that wait because of a rate limit.',
      ['limit'],
    );
  }

  setRates(rates: Rates): void {
    this.#limits.attestation.setRate(rates.attestation);
    this.#limits.signing.setRate(rates.signing);
    this.#limits.jwtSigning.setRate(rates.jwtSigning);
  }

  /** The service with its limited methods held to their limits: ERR_API_RATE_LIMIT for those that cannot wait. */
  guard({ definition, implementation }: GrpcService): GrpcService {
    const guarded = { ...implementation };
    for (const [name, { path }] of Object.entries(definition)) {
      const limit = limited[path];
      const handler = implementation[name];
      if (limit !== undefined && handler !== undefined) guarded[name] = this.#hold(limit, handler);
    }
    return { definition, implementation: guarded };
  }

  #hold(limit: Limit, handler: UntypedHandleCall): UntypedHandleCall {
    return (call: Call, ...rest: unknown[]): unknown =>
      this.#handle(limit, call, () => Reflect.apply(handler, undefined, [call, ...rest]));
  }

  #handle(limit: Limit, call: Call, handle: () => unknown): unknown {
    const caller = callerOf(call);
    if (caller.kind === 'local') return handle();
    // It says so only once, which may have been while it was authorized.
    if (call.cancelled) return undefined;
    const place = this.#take(limit, sourceNetwork(caller.address), tokensOf(call.request));
    if (place === undefined) return handle();
    return this.#wait(limit, place, call).then((isHere) => (isHere ? handle() : undefined));
  }

  /** False when the caller has gone meanwhile. */
  async #wait(limit: Limit, place: Place, call: Call): Promise<boolean> {
    this.#counter.inc({ limit, outcome: 'waited' });
    this.#waiting.inc({ limit });
    const gone = Promise.withResolvers<false>();
    const leave = (): void => {
      place.leave();
      gone.resolve(false);
    };
    call.once('cancelled', leave);
    const isHere = await Promise.race([place.admitted.then(() => true), gone.promise]);
    call.removeListener('cancelled', leave);
    this.#waiting.dec({ limit });
    return isHere;
  }

  #take(limit: Limit, source: string, tokens: number): ReturnType<RateLimit['take']> {
    try {
      return this.#limits[limit].take(source, tokens);
    } catch (error) {
      if (error instanceof TrustplaneError) {
        this.#counter.inc({ limit, outcome: 'refused' });
        this.#log.warn({ limit, source }, 'a rate limit refuses calls');
      }
      throw error;
    }
  }
}

/** The items of a batch; 1 for any other call. */
function tokensOf(request: unknown): number {
  if (typeof request !== 'object' || request === null || !('params' in request)) return 1;
  return Array.isArray(request.params) ? request.params.length : 1;
}
