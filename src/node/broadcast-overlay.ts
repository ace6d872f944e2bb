import {
  type Bundle,
  bundlesEqual,
  type Clock,
  type TrustDomain,
  type TrustMap,
  type TrustMapSource,
  TrustplaneError,
} from '../spiffe/index.ts';

export interface BroadcastOverlayOptions {
  /** What the servers told. */
  readonly told: TrustMapSource;
  readonly clock: Clock;
  /** What was heard before this process, verified then. */
  readonly restored: readonly Bundle[];
  /** After a bundle was heard (or, undefined, is of no use any more), to be kept over a restart. */
  readonly onHeard: (trustDomain: TrustDomain, bundle: Bundle | undefined) => void;
}

/**
 * The trust map of an agent that hears of bundles before its servers tell it, or while none does: a
 * bundle that was heard stands in place of the told one while its sequence number is above it. Which
 * trust domains there are, and on which terms, the servers alone say.
 */
export class BroadcastOverlay implements TrustMapSource {
  readonly #options: BroadcastOverlayOptions;
  readonly #heard = new Map<string, Bundle>();
  /** When the servers began with a trust domain, or set its bundle back, by name; milliseconds since the epoch. */
  readonly #since = new Map<string, number>();
  readonly #listeners = new Set<(map: TrustMap) => void>();
  readonly #stop: () => void;
  #told: TrustMap;
  #map: TrustMap;

  constructor(options: BroadcastOverlayOptions) {
    this.#options = options;
    this.#told = options.told.current();
    this.#map = this.#told;
    for (const bundle of options.restored) this.#heard.set(bundle.trustDomain.name, bundle);
    this.#dropUseless((bundle) => this.#isLater(bundle));
    this.#map = this.#merge();
    this.#stop = options.told.watch((told) => this.#take(told));
  }

  current(): TrustMap {
    return this.#map;
  }

  watch(listener: (map: TrustMap) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** How many trust domains are ahead of what the servers told. */
  get ahead(): number {
    return this.#heard.size;
  }

  /**
   * Takes in a bundle that was verified; one that is no later, or of a trust domain that the servers do not list, is of no effect.
   * @param saidAt when a server of the own trust domain said so, milliseconds since the epoch; undefined: it was another one
   * @throws TrustplaneError ERR_BUNDLE_MESSAGE_REPLAY for what the servers said before they told otherwise
   */
  hear(bundle: Bundle, saidAt?: number): void {
    const { trustDomain } = bundle;
    if (saidAt !== undefined) this.#requireRecent(bundle, saidAt);
    const before = this.#heard.get(trustDomain.name);
    const isNews = before === undefined || sequenceOf(bundle) > sequenceOf(before);
    if (!isNews || !this.#isLater(bundle)) return;
    this.#heard.set(trustDomain.name, bundle);
    this.#options.onHeard(trustDomain, bundle);
    this.#publish();
  }

  close(): void {
    this.#stop();
  }

  #take(told: TrustMap): void {
    const before = this.#told;
    this.#told = told;
    this.#noteNew(before);
    this.#dropUseless((bundle) => this.#isLater(bundle) && !this.#wasReset(bundle, before));
    this.#publish();
  }

  /** A relationship that ended and began again, and a number that was set back, are the end of what was said before. */
  #noteNew(before: TrustMap): void {
    const { own, federated } = this.#told;
    // Messages tell whole seconds.
    const now = Math.floor(this.#options.clock.now() / 1_000) * 1_000;
    for (const bundle of [own, ...federated.values()]) {
      const isNew = toldOf(before, bundle.trustDomain) === undefined;
      if (isNew || this.#wasReset(bundle, before)) this.#since.set(bundle.trustDomain.name, now);
    }
    for (const name of this.#since.keys()) {
      if (name !== own.trustDomain.name && !federated.has(name)) this.#since.delete(name);
    }
  }

  /** Nobody could tell whether what has a number is later than what has none; the servers never say so. */
  #requireRecent({ trustDomain }: Bundle, saidAt: number): void {
    const told = toldOf(this.#told, trustDomain);
    if (told === undefined) return;
    const isNumbered = told.sequenceNumber !== undefined;
    if (isNumbered && saidAt >= (this.#since.get(trustDomain.name) ?? 0)) return;
    const message = `a server said so of ${trustDomain.name} before the servers told otherwise`;
    throw new TrustplaneError('ERR_BUNDLE_MESSAGE_REPLAY', message);
  }

  #dropUseless(isOfUse: (bundle: Bundle) => boolean): void {
    for (const [name, bundle] of this.#heard) {
      if (isOfUse(bundle)) continue;
      this.#heard.delete(name);
      this.#options.onHeard(bundle.trustDomain, undefined);
    }
  }

  #isLater(bundle: Bundle): boolean {
    const told = toldOf(this.#told, bundle.trustDomain);
    return told !== undefined && sequenceOf(bundle) > sequenceOf(told);
  }

  /** An operator set the bundle back, or another one without a number: what was heard is of before. */
  #wasReset({ trustDomain }: Bundle, before: TrustMap): boolean {
    const [was, is] = [before, this.#told].map((map) => toldOf(map, trustDomain));
    if (was === undefined || is === undefined) return false;
    if (is.sequenceNumber === undefined) return !bundlesEqual(was, is);
    return sequenceOf(is) < sequenceOf(was);
  }

  #publish(): void {
    this.#map = this.#merge();
    for (const listener of this.#listeners) listener(this.#map);
  }

  #merge(): TrustMap {
    const { own, federated, terms } = this.#told;
    if (this.#heard.size === 0) return this.#told;
    const ahead = (told: Bundle): Bundle => {
      const heard = this.#heard.get(told.trustDomain.name);
      return heard === undefined ? told : this.#keepEqual(keepTaints(heard, told));
    };
    const merged = [...federated].map(([name, told]) => [name, ahead(told)] as const);
    return { own: ahead(own), federated: new Map(merged), terms };
  }

  /** The same object for the same content, as `NodeFacts` has it. */
  #keepEqual(bundle: Bundle): Bundle {
    const last = toldOf(this.#map, bundle.trustDomain);
    return last !== undefined && bundlesEqual(last, bundle) ? last : bundle;
  }
}

/** −1 where there is none. */
function sequenceOf({ sequenceNumber }: Bundle): bigint {
  return sequenceNumber ?? -1n;
}

function toldOf({ own, federated }: TrustMap, trustDomain: TrustDomain): Bundle | undefined {
  return trustDomain.equals(own.trustDomain) ? own : federated.get(trustDomain.name);
}

/** The document of a bundle does not say what is tainted; servers do, of their own domain. */
function keepTaints(heard: Bundle, told: Bundle): Bundle {
  const x509 = new Set(
    told.x509Authorities
      .filter(({ tainted }) => tainted)
      .map(({ certificate }) => hex(certificate)),
  );
  const tokens = [...told.jwtAuthorities, ...told.witAuthorities];
  const keys = new Set(tokens.filter(({ tainted }) => tainted).map(({ keyId }) => keyId));
  if (x509.size + keys.size === 0) return heard;
  const withTaint = <T extends { readonly keyId: string }>(one: T): T & { tainted: boolean } => ({
    ...one,
    tainted: keys.has(one.keyId),
  });
  return {
    ...heard,
    x509Authorities: heard.x509Authorities.map((one) => ({
      ...one,
      tainted: x509.has(hex(one.certificate)),
    })),
    jwtAuthorities: heard.jwtAuthorities.map(withTaint),
    witAuthorities: heard.witAuthorities.map(withTaint),
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
