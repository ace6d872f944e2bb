import type { Authority } from './authority.ts';

/** Somebody who may not know an authority yet. */
export interface Laggard {
  readonly who: string;
  readonly why: string;
}

export interface GateState {
  /** Everybody who has to know the authority knows it. */
  readonly isOpen: boolean;
  readonly behind: readonly Laggard[];
  /** When it opens by itself, if that is known; milliseconds since the epoch. */
  readonly opensAt?: number;
}

/** Decides from evidence whether a prepared authority may sign (design D4). */
export interface Gate<A> {
  check(authority: A): GateState;
  /** Calls the listener whenever `check` may answer otherwise; returns the way to stop. */
  watch(listener: () => void): () => void;
}

/** What a gate is told of an X.509 authority. */
export interface GatedX509Authority {
  readonly authorityId: string;
  /** DER. */
  readonly certificate: Uint8Array;
  /** When it came into the bundle, milliseconds since the epoch. */
  readonly publishedAt: number;
}

/** A gate that asks who has the X.509 authority. */
export type X509Gate = Gate<GatedX509Authority>;

/** A gate that opens when an authority has stood in the bundle for `holdMs`. */
export function createTimeGate<A extends Authority>(options: {
  readonly holdMs: number;
  readonly publishedAt: (authority: A) => number | undefined;
  readonly now: () => number;
  /** Who is waited for. */
  readonly who: string;
}): Gate<A> {
  const { holdMs, publishedAt, now, who } = options;
  return {
    check(authority) {
      const opensAt = (publishedAt(authority) ?? now()) + holdMs;
      if (now() >= opensAt) return { isOpen: true, behind: [], opensAt };
      const why = `may hold an earlier bundle until ${new Date(opensAt).toISOString()}`;
      return { isOpen: false, behind: [{ who, why }], opensAt };
    },
    watch: () => () => {},
  };
}
