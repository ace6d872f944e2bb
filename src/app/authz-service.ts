import { randomBytes } from 'node:crypto';
import type { MessagePort } from 'node:worker_threads';
import type { Plan } from '../authz/deciding.ts';
import {
  type AssertionKey,
  AssertionSigner,
  CallerReader,
  CheckHandler,
  createDecisionMetrics,
  PolicyPromotion,
} from '../check/index.ts';
import type { FactsView } from '../facts/index.ts';
import type { Log, Metrics } from '../ops/index.ts';
import type { Clock } from '../spiffe/index.ts';
import type { AuthzConfig } from './authz-config.ts';
import { openDecisionLog } from './open-decision-log.ts';

const ID_BYTES = 6;

export interface AuthzServiceOptions {
  readonly config: AuthzConfig;
  /** The own one, by name. */
  readonly trustDomain: string;
  readonly facts: FactsView;
  /** The policies in force; undefined: there are none yet. */
  plan(): Plan | undefined;
  /** Where lines of the decision log go that are published to NATS. */
  readonly decisionPort?: MessagePort | undefined;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

/** What answers checks, and what it holds open. */
export interface AuthzService {
  /** An encoded CheckRequest → an encoded CheckResponse, at once; never throws. */
  check(request: Uint8Array): Buffer;
  /** Signs assertions from now on. */
  useAssertionKey(key: AssertionKey): void;
  /** After the last check. */
  close(): Promise<void>;
}

/** Connects the reading of callers, the policies, the decision log and the metrics. */
export function createAuthzService(options: AuthzServiceOptions): AuthzService {
  const { config, facts, metrics, clock } = options;
  const callers = new CallerReader({
    trust: () => facts.trust(),
    findRevocation: (subject) => facts.findRevocation({ agentId: undefined, ...subject }),
    needsCertificate: config.requirePeerCertificate,
    jwtSvid: config.jwtSvid,
    xfcc: config.xfcc,
    clock,
  });
  const assertions = createSigner(config, options.trustDomain, clock);
  const count = createDecisionMetrics(metrics);
  const promotion = new PolicyPromotion(options.log, metrics);
  const decisions =
    config.decisionLog &&
    openDecisionLog({ ...options, config: config.decisionLog, port: options.decisionPort });
  const handler = new CheckHandler({
    // Whoever is not told yet whom to trust, and who was revoked, allows nothing.
    plan: () => {
      const plan = facts.isComplete ? options.plan() : undefined;
      return plan && promotion.apply(plan);
    },
    callers,
    assertions,
    claims: config.claims,
    onDecision: (record) => {
      count(record);
      promotion.observe(record.decision);
      decisions?.record(record);
    },
    idPrefix: randomBytes(ID_BYTES).toString('hex'),
    clock,
  });
  return {
    check: (request) => handler.check(request),
    useAssertionKey: (key) => assertions?.use(key),
    close: async () => await decisions?.close(),
  };
}

/** Has no key yet. */
function createSigner(
  { assertion }: AuthzConfig,
  trustDomain: string,
  clock: Clock,
): AssertionSigner | undefined {
  if (assertion === undefined) return undefined;
  const { issuer = `spiffe://${trustDomain}`, ttlSeconds } = assertion;
  return new AssertionSigner({ issuer, ttlSeconds, clock, randomBytes });
}
