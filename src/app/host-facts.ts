import type { Facts, FactsSource } from '../facts/index.ts';
import type { PolicyTexts, Revocation, TrustMapSource } from '../spiffe/index.ts';

/** What this process knows, live, of what is needed to judge SVIDs and requests. */
export interface HostFacts {
  readonly trust: TrustMapSource;
  /** Default: nothing is revoked. */
  readonly revocations?: RevocationList | undefined;
  /** What the servers deliver; default: nothing. */
  readonly policies?: DeliveredPolicies | undefined;
}

/** What is revoked, live. */
export interface RevocationList {
  /** The same list until something changes. */
  list(): readonly Revocation[];
  watch(listener: () => void): () => void;
}

/** The policies of the control plane, live. */
export interface DeliveredPolicies {
  /** Undefined: there are none, as far as is known. */
  current(): PolicyTexts | undefined;
  watch(listener: () => void): () => void;
}

const none: readonly Revocation[] = [];

/** All of it as one, for a feed. */
export function joinFacts({ trust, revocations, policies }: HostFacts): FactsSource {
  let known: Facts | undefined;
  return {
    current() {
      const now: Facts = {
        trust: trust.current(),
        revocations: revocations?.list() ?? none,
        policies: policies?.current(),
      };
      const isSame =
        known?.trust === now.trust &&
        known.revocations === now.revocations &&
        known.policies === now.policies;
      return isSame ? known : (known = now);
    },
    watch(listener) {
      const stops = [trust, revocations, policies].map((source) => source?.watch(listener));
      return () => {
        for (const stop of stops) stop?.();
      };
    },
  };
}
