import type { Authority, AuthorityState } from './authority.ts';
import type { Publication } from './authority-publisher.ts';
import type { GateState } from './gate.ts';
import type { RotationAlarm, RotationFailure } from './rotation.ts';
import type { RotationStep } from './slots.ts';

/** Instants in milliseconds since the epoch. */
export interface AuthorityStatus {
  /** X.509: the subject key identifier, in hex. JWT: the `kid`. */
  readonly authorityId: string;
  readonly state: AuthorityState;
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isPublished: boolean;
  readonly isTainted: boolean;
  /** The authority above it that is in the bundle in its place; undefined when it is in the bundle itself. */
  readonly upstreamId?: string | undefined;
}

/** Whether authorities do their work. */
export interface CaHealth {
  /** ok; degraded: it signs, but the rotation fails; failing: it cannot sign. */
  readonly health: 'ok' | 'degraded' | 'failing';
  readonly canSign: boolean;
  /** The first authority waits until everybody knows it, while other servers sign. */
  readonly isJoining?: boolean;
  readonly failure: RotationFailure | undefined;
  /** The active authority signs although not everybody knows it yet. */
  readonly alarm: RotationAlarm | undefined;
}

/** Where the authorities of one kind stand. */
export interface CaStatus extends CaHealth {
  readonly authorities: readonly AuthorityStatus[];
  readonly nextStep: Exclude<RotationStep<Authority>['type'], 'wait'>;
  /** When it is due, if nothing brings it forward; now when it is under way. */
  readonly nextStepAt: number;
  /** Whether everybody knows the prepared authority; undefined when none is prepared. */
  readonly gate: GateState | undefined;
}

/** `signer`: whose key is at hand. */
export function describeHealth(
  signer: Authority | undefined,
  rotation: Pick<CaHealth, 'failure' | 'alarm'>,
  now: number,
): CaHealth {
  const canSign = signer !== undefined && now >= signer.notBefore && now < signer.notAfter;
  const { failure, alarm } = rotation;
  const health = !canSign ? 'failing' : failure === undefined ? 'ok' : 'degraded';
  return { health, canSign, failure, alarm };
}

export function describeAuthority(
  { authorityId, state, issuedAt, notBefore, notAfter, upstreamId }: Authority,
  publication: Publication | undefined,
): AuthorityStatus {
  return {
    authorityId,
    state,
    issuedAt,
    notBefore,
    notAfter,
    isPublished: publication !== undefined,
    isTainted: publication?.isTainted === true,
    upstreamId,
  };
}

export function describeStatus<A extends Authority>(options: {
  readonly health: CaHealth;
  readonly authorities: readonly A[];
  readonly step: RotationStep<A>;
  readonly find: (authority: A) => Publication | undefined;
  readonly gateOf: (authority: A) => GateState;
  readonly now: number;
}): CaStatus {
  const { authorities, step, now } = options;
  const prepared = authorities.find(({ state }) => state === 'prepared');
  return {
    ...options.health,
    authorities: authorities.map((authority) =>
      describeAuthority(authority, options.find(authority)),
    ),
    nextStep: step.type === 'wait' ? step.next : step.type,
    nextStepAt: step.type === 'wait' ? step.until : now,
    gate: prepared && options.gateOf(prepared),
  };
}
