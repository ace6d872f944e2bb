import type { Facts, FactsSource } from '../facts/index.ts';
import type { PolicyTexts, Revocation, TrustMapSource } from '../spiffe/index.ts';

/** What this process knows, live, of what is needed to judge SVIDs and requests. */
export interface HostFacts {
  readonly trust: TrustMapSource;
  /** Default: nothing is revoked. */
  readonly revocations?: RevocationList | undefined;
  /** What the servers deliver; default: nothing. */
  readonly policies?: DeliveredPolicies | undefined;
  /** Whether all that is known of the rest was told; default: it was. Until then nothing is told on. */
  readonly completeness?: Completeness | undefined;
}

/** Whether a server told everything once, in this life or one before; live. */
export interface Completeness {
  isComplete(): boolean;
  watch(listener: () => void): () => void;
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
export function joinFacts(sources: HostFacts): FactsSource {
  const { trust, revocations, policies, completeness } = sources;
  let known: Facts | undefined;
  return {
    current() {
      // A bundle that is known without the revocations would let in who was revoked.
      if (completeness?.isComplete() === false) return undefined;
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
      const stops = [trust, revocations, policies, completeness].map((source) =>
        source?.watch(listener),
      );
      return () => {
        for (const stop of stops) stop?.();
      };
    },
  };
}
