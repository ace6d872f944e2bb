import type { AuthorityState, X509CaAuthority } from './authority.ts';
import type { RotationFailure } from './rotation.ts';
import type { RotationStep } from './slots.ts';

/** Instants in milliseconds since the epoch. */
export interface X509AuthorityStatus {
  readonly authorityId: string;
  readonly state: AuthorityState;
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly isPublished: boolean;
}

/** Where the rotation stands. */
export interface X509CaStatus {
  /** ok; degraded: it signs, but the rotation fails; failing: it cannot sign. */
  readonly health: 'ok' | 'degraded' | 'failing';
  readonly canSign: boolean;
  readonly authorities: readonly X509AuthorityStatus[];
  readonly nextStep: Exclude<RotationStep['type'], 'wait'> | 'none';
  /** When to look again; now when a step is due. */
  readonly nextStepAt: number;
  readonly failure: RotationFailure | undefined;
}

export function describeStatus(options: {
  readonly authorities: readonly X509CaAuthority[];
  readonly step: RotationStep;
  readonly failure: RotationFailure | undefined;
  readonly isPublished: (authority: X509CaAuthority) => boolean;
  /** Whose key is at hand. */
  readonly signer: X509CaAuthority | undefined;
  readonly now: number;
}): X509CaStatus {
  const { step, failure, signer, now } = options;
  const canSign =
    signer !== undefined && now >= signer.parsed.notBefore && now < signer.parsed.notAfter;
  return {
    health: !canSign ? 'failing' : failure === undefined ? 'ok' : 'degraded',
    canSign,
    authorities: options.authorities.map((authority) => ({
      authorityId: authority.authorityId,
      state: authority.state,
      issuedAt: authority.issuedAt,
      notBefore: authority.parsed.notBefore,
      notAfter: authority.parsed.notAfter,
      isPublished: options.isPublished(authority),
    })),
    nextStep: step.type === 'wait' ? 'none' : step.type,
    nextStepAt: step.type === 'wait' ? step.until : now,
    failure,
  };
}
