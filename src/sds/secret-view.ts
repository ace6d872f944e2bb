import type { WorkloadUpdate } from '../spiffe/index.ts';
import { type Absence, entitledNames, resolveName, type SdsNames, trustDomainOf } from './names.ts';
import type { Secret, SecretEncoder, ValidationStyle } from './secret.ts';
import type { ValidationMode } from './validation.ts';

/** What one caller may see at one moment. */
export interface SecretView {
  /** What a wildcard stands for. */
  readonly names: readonly string[];
  /**
   * The secret of that name, or why there is none; `expired`: the one there is must not be sent, and
   * the one the client holds is no worse. `isDeclined`: the client refuses a list of SPIFFE IDs.
   */
  resolve(name: string, now: number, isDeclined: boolean): Secret | Absence | 'expired';
  /**
   * What takes a name back from a client that lost it: a validation context that nothing matches.
   * undefined for a certificate, which cannot be taken back.
   */
  withdrawal(name: string): Secret | undefined;
}

/** A function that returns the one view all streams share per update and mode. */
export function createSecretViews(
  encoder: SecretEncoder,
  names: SdsNames,
): (update: WorkloadUpdate, mode: ValidationMode) => SecretView {
  const views = {
    spiffe: new WeakMap<WorkloadUpdate, SecretView>(),
    plain: new WeakMap<WorkloadUpdate, SecretView>(),
  };
  return (update, mode) => {
    const known = views[mode].get(update);
    if (known !== undefined) return known;
    const view = createView(encoder, names, update, mode);
    views[mode].set(update, view);
    return view;
  };
}

interface Sealed {
  readonly secret: Secret;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

function createView(
  encoder: SecretEncoder,
  names: SdsNames,
  update: WorkloadUpdate,
  mode: ValidationMode,
): SecretView {
  // Only names that stand for something are kept, so clients cannot make them grow.
  const taken = new Map<string, Sealed>();
  const declined = new Map<string, Sealed>();

  const seal = (name: string, style: ValidationStyle): Sealed | Absence => {
    const meaning = resolveName(name, update, names);
    if (typeof meaning === 'string') return meaning;
    return meaning.kind === 'certificate'
      ? {
          secret: encoder.certificate(name, meaning.identity),
          expiresAt: meaning.identity.expiresAt,
        }
      : {
          secret: encoder.validation(name, style, meaning.domains),
          expiresAt: Number.POSITIVE_INFINITY,
        };
  };

  return {
    names: entitledNames(update),
    resolve(name, now, isDeclined) {
      const found = isDeclined ? declined : taken;
      const scopes = isDeclined ? 'withheld' : 'listed';
      const sealed = found.get(name) ?? seal(name, { mode, scopes });
      if (typeof sealed === 'string') return sealed;
      found.set(name, sealed);
      return sealed.expiresAt > now ? sealed.secret : 'expired';
    },
    withdrawal(name) {
      const trustDomain = trustDomainOf(name, update, names);
      return trustDomain === undefined ? undefined : encoder.unmatchable(name, mode, trustDomain);
    },
  };
}
