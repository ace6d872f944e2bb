import {
  type AccessRequest,
  type CallerDecision,
  type Decision,
  decideEither,
  failedDecision,
  type Plan,
} from '../authz/deciding.ts';
import type { Clock } from '../spiffe/index.ts';
import { SpiffeId } from '../spiffe/index.ts';
import type { Assertion, AssertionSigner } from './assertion-signer.ts';
import { bodyBytesOf } from './body-size.ts';
import type { Caller, CallerReader, Callers } from './caller-reader.ts';
import {
  type CheckRequest,
  type HttpAttributes,
  POLICY_EXTENSION,
  parseCheckRequest,
} from './check-request.ts';
import { CheckResponses, type Speech } from './check-response.ts';

/** One decision and what it was about. */
export interface CheckRecord {
  readonly id: string;
  readonly decision: Decision;
  /** Undefined when the request could not be read. */
  readonly request: CheckRequest | undefined;
  readonly caller: Caller | undefined;
  /** What the caller proved itself with; undefined: with its certificate. */
  readonly credential?: 'x509-svid' | 'jwt-svid' | undefined;
  /** Whom a token named beside the caller's certificate. */
  readonly tokenCaller?: SpiffeId | undefined;
  /** The listed proxy that spoke for the caller. */
  readonly proxy?: SpiffeId | undefined;
  /** When it was decided, in milliseconds. */
  readonly at: number;
  /** From the request's bytes to the decision. */
  readonly latencyMicros: number;
}

type Judged = Omit<CheckRecord, 'at' | 'latencyMicros'>;

export interface CheckHandlerOptions {
  /** The policies now; undefined: there are none yet, and everything is denied. */
  plan(): Plan | undefined;
  readonly callers: Pick<CallerReader, 'callersOf'>;
  /** Signs what policies have asserted; undefined: what needs it is denied. */
  readonly assertions?: Pick<AssertionSigner, 'sign'> | undefined;
  /** Where verified tokens' claims stand in the proxy's metadata. */
  readonly claims: { readonly namespace: string; readonly key: string };
  /** Told of each decision, before it is answered; must not throw. */
  readonly onDecision: (record: CheckRecord) => void;
  /** Before the number of each decision, so that it is one of a kind. */
  readonly idPrefix: string;
  readonly clock: Clock;
  /** Milliseconds of a watch that is never set; default the machine's. */
  readonly stopwatch?: () => number;
}

/** Answers CheckRequests as they come off the wire. Never throws and never waits; what fails is denied. */
export class CheckHandler {
  readonly #options: CheckHandlerOptions;
  readonly #responses = new CheckResponses();
  readonly #stopwatch: () => number;
  #count = 0;

  constructor(options: CheckHandlerOptions) {
    this.#options = options;
    this.#stopwatch = options.stopwatch ?? (() => performance.now());
  }

  /** An encoded CheckRequest → an encoded CheckResponse. */
  check(bytes: Uint8Array): Buffer {
    const from = this.#stopwatch();
    const id = `${this.#options.idPrefix}-${(++this.#count).toString(36)}`;
    const request = read(bytes);
    if (request === undefined) {
      const decision = failedDecision('bad_request');
      return this.#answer({ id, decision, request, caller: undefined }, from);
    }
    const plan = this.#options.plan();
    const callers = this.#options.callers.callersOf(request);
    if (plan === undefined) {
      const decision = failedDecision('policy_missing');
      return this.#answer({ id, decision, request, ...callers }, from);
    }
    const asked = this.#accessRequest(request, callers);
    const decided = decideEither(plan, asked);
    const decision = this.#withAssertions(decided, asked);
    // What is asserted is a token, and no business of logs.
    const told = decision.isAllowed ? decided.decision : decision;
    return this.#answer({ id, decision: told, request, ...callers }, from, decision);
  }

  /** Without a caller there is nothing to assert; what cannot be signed is denied. */
  #withAssertions(
    { decision, callerId }: CallerDecision,
    { service, http }: AccessRequest,
  ): Decision {
    const { isAllowed, assertedHeaders, headers, removedHeaders, policyDigest } = decision;
    if (!isAllowed || http === undefined || assertedHeaders.length === 0) return decision;
    if (callerId === undefined) {
      return { ...decision, removedHeaders: [...removedHeaders, ...assertedHeaders].sort() };
    }
    const audience = service.spiffeId ?? service.contextExtension ?? '';
    const token = this.#signed({ callerId, audience, headers });
    if (token === undefined) {
      const { policy, ruleId } = decision;
      return { ...failedDecision('internal_error', policyDigest), policy, ruleId };
    }
    const asserted = assertedHeaders.map((name) => [name, token] as const);
    return { ...decision, headers: new Map([...headers, ...asserted]) };
  }

  #signed(assertion: Assertion): string | undefined {
    try {
      return this.#options.assertions?.sign(assertion);
    } catch {
      return undefined;
    }
  }

  /** `decision`: with what only the proxy is told. */
  #answer(judged: Judged, from: number, decision: Decision = judged.decision): Buffer {
    const at = this.#options.clock.now();
    const latencyMicros = (this.#stopwatch() - from) * 1_000;
    this.#options.onDecision({ ...judged, at, latencyMicros });
    return this.#responses.build(decision, speechOf(judged.request), judged.id);
  }

  #accessRequest(request: CheckRequest, callers: Callers): AccessRequest {
    const { source, destination, http, contextExtensions, metadata } = request;
    const { claims, clock } = this.#options;
    const payload = metadata.get(claims.namespace)?.[claims.key];
    return {
      service: {
        spiffeId: serviceIdOf(destination.principal),
        contextExtension: contextExtensions.get(POLICY_EXTENSION),
      },
      ...callers,
      http,
      sourceIp: source.ip,
      destinationIp: destination.ip,
      destinationPort: destination.port,
      claims: isObject(payload) ? payload : undefined,
      now: clock.now(),
      bodyBytes: bodyBytesOf(request),
    };
  }
}

function read(bytes: Uint8Array): CheckRequest | undefined {
  try {
    return parseCheckRequest(bytes);
  } catch {
    return undefined;
  }
}

function speechOf(request: CheckRequest | undefined): Speech {
  if (request === undefined) return 'http';
  return request.http === undefined ? 'tcp' : httpSpeech(request.http);
}

/** As Envoy tells gRPC callers from others. */
function httpSpeech(http: HttpAttributes): Speech {
  return http.headers('content-type').some((type) => /^application\/grpc(?:\+|$)/u.test(type))
    ? 'grpc'
    : 'http';
}

/** The proxy's own certificate names it; anything but a SPIFFE ID names no service. */
function serviceIdOf(principal: string | undefined): string | undefined {
  if (principal === undefined) return undefined;
  try {
    return SpiffeId.parse(principal).toString();
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
