import type { WorkloadUpdate } from '../spiffe/index.ts';
import type { ResourceView } from '../xds/index.ts';
import {
  entitledNames,
  type NoMeaning,
  resolveName,
  type SdsNames,
  trustDomainOf,
} from './names.ts';
import type { Secret, SecretEncoder, ValidationStyle } from './secret.ts';
import type { ValidationMode } from './validation.ts';

/**
 * A function that returns the one view all streams share per update and mode. What takes a name back is
 * a validation context that nothing matches; a certificate cannot be taken back. `hasCrls`: contexts have CRLs.
 */
export function createSecretViews(
  encoder: SecretEncoder,
  names: SdsNames,
  hasCrls: boolean = false,
): (update: WorkloadUpdate, mode: ValidationMode) => ResourceView {
  const views = {
    spiffe: new WeakMap<WorkloadUpdate, ResourceView>(),
    plain: new WeakMap<WorkloadUpdate, ResourceView>(),
  };
  return (update, mode) => {
    const known = views[mode].get(update);
    if (known !== undefined) return known;
    const shown = hasCrls ? update : { ...update, crls: [] };
    const view = createView(encoder, names, shown, mode);
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
): ResourceView {
  // Only names that stand for something are kept, so clients cannot make them grow.
  const taken = new Map<string, Sealed>();
  const declined = new Map<string, Sealed>();

  const seal = (name: string, style: ValidationStyle): Sealed | NoMeaning => {
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
      // What the client holds is no worse than one that has expired.
      return sealed.expiresAt > now ? sealed.secret : 'withheld';
    },
    withdrawal(name) {
      const trustDomain = trustDomainOf(name, update, names);
      return trustDomain === undefined ? undefined : encoder.unmatchable(name, mode, trustDomain);
    },
  };
}
