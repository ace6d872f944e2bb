import type { Authority } from './authority.ts';

/** The one thing to do now. */
export type RotationStep<A extends Authority> =
  | { readonly type: 'prepare' }
  | { readonly type: 'publish' | 'activate' | 'prune'; readonly authority: A }
  | {
      readonly type: 'wait';
      readonly until: number;
      /** What is due then. */
      readonly next: 'prepare' | 'activate' | 'prune';
    };

/** What of the world decides, beside the slots and the time. */
export interface SlotFacts<A extends Authority> {
  /** True when the bundle holds it. */
  readonly isPublished: (authority: A) => boolean;
  /** True when what it signs is refused, or soon is, whatever its time: it is replaced at once. */
  readonly isRefused: (authority: A) => boolean;
  /** From when on everybody who has to know a prepared one knows it; Infinity while that cannot be told. */
  readonly knownAt: (prepared: A) => number;
  /** Other servers of the trust domain sign: without one that is active there is time. */
  readonly othersSign?: boolean;
}

/** Share of the active authority's life after which the next one is prepared. */
const PREPARE_AFTER = 1 / 2;
/** Share of its life after which the next one takes over, whoever may not know it. */
const ACTIVATE_AFTER = 5 / 6;
/** Share of the first one's own life after which it is active, whoever may not know it, where other servers sign. */
const FIRST_AFTER = 1 / 3;
/** How long the next one stands in the bundle at least: until every reader is back after a time without a server. */
const STANDS_FOR_MS = 60_000;
/** A clock that is this little, or the backdate, before an authority catches up with it soon. */
const CLOCK_STEP_MS = 60_000;
/** A certificate is valid through the second of its notAfter. */
const LAST_SECOND_MS = 1000;

/**
 * Decides what rotation does next (design D4). An authority stands in the bundle before it signs; it
 * leaves the bundle only when it has expired. What is old and not in the bundle any more was revoked
 * and goes. A clock set back a little changes nothing. An authority that was made while the clock was
 * far ahead is replaced: nobody with the right time takes what it signed.
 */
export function nextStep<A extends Authority>(
  authorities: readonly A[],
  facts: SlotFacts<A>,
  now: number,
): RotationStep<A> {
  const inState = (state: A['state']): A | undefined =>
    authorities.find((authority) => authority.state === state);
  const good = (authority: A | undefined): A | undefined =>
    authority === undefined || facts.isRefused(authority) ? undefined : presentOne(authority, now);
  const active = good(inState('active'));
  const prepared = inState('prepared');
  const current = good(prepared);
  const usable = current !== undefined && now < current.notAfter ? current : undefined;
  for (const authority of [usable, active]) {
    if (authority !== undefined && !isOver(authority, now) && !facts.isPublished(authority)) {
      return { type: 'publish', authority };
    }
  }
  const isLost = inState('active') !== undefined && active === undefined;
  if (usable !== undefined && (isLost || now >= takesOverAt(active, usable, facts, now))) {
    return { type: 'activate', authority: usable };
  }
  if (usable === undefined && prepared !== undefined) {
    return { type: 'prune', authority: prepared };
  }
  if (usable === undefined && (active === undefined || now >= prepareAt(active))) {
    return { type: 'prepare' };
  }
  const gone = authorities.find(
    (authority) =>
      authority.state === 'old' && (isOver(authority, now) || !facts.isPublished(authority)),
  );
  if (gone !== undefined) return { type: 'prune', authority: gone };
  return nextWait(authorities, active, usable, facts, now);
}

/**
 * Without one that signs at once, unless other servers do: then what it signs would be refused by those who
 * do not know it yet, and is not needed.
 */
function takesOverAt<A extends Authority>(
  active: A | undefined,
  prepared: A,
  facts: SlotFacts<A>,
  now: number,
): number {
  if (active !== undefined && !(facts.othersSign === true && isOver(active, now))) {
    return activateAt(active, prepared, facts);
  }
  if (facts.othersSign !== true) return Number.NEGATIVE_INFINITY;
  const latest = prepared.issuedAt + Math.ceil(life(prepared) * FIRST_AFTER);
  return Math.min(facts.knownAt(prepared), latest);
}

function prepareAt(active: Authority): number {
  return active.issuedAt + Math.ceil(life(active) * PREPARE_AFTER);
}

/**
 * When everybody knows the prepared one, but not in the first half of the active one's life; at 5/6 in
 * any case; after a time without a server later, but with half of what was left of the active one's
 * life to spare.
 */
function activateAt<A extends Authority>(
  active: A,
  prepared: A,
  { knownAt }: SlotFacts<A>,
): number {
  const stands = Math.min(
    prepared.issuedAt + STANDS_FOR_MS,
    Math.ceil((prepared.issuedAt + active.notAfter) / 2),
  );
  const known = Math.max(knownAt(prepared), prepareAt(active));
  const latest = active.issuedAt + Math.ceil(life(active) * ACTIVATE_AFTER);
  return Math.max(Math.min(known, latest), stands);
}

/** The prepared authority becomes active, the active one old. */
export function activate<A extends Authority>(
  authorities: readonly A[],
  authorityId: string,
): readonly A[] {
  return retireActive(authorities).map((authority) =>
    authority.authorityId === authorityId ? { ...authority, state: 'active' } : authority,
  );
}

export function retireActive<A extends Authority>(authorities: readonly A[]): readonly A[] {
  return authorities.map((authority) =>
    authority.state === 'active' ? { ...authority, state: 'old' } : authority,
  );
}

export function without<A extends Authority>(
  authorities: readonly A[],
  authorityId: string,
): readonly A[] {
  return authorities.filter((authority) => authority.authorityId !== authorityId);
}

/** The authority, unless the clock stands so far before it that whoever has the same time refuses it. */
function presentOne<A extends Authority>(authority: A, now: number): A | undefined {
  const { issuedAt, notBefore } = authority;
  const tolerance = Math.max(issuedAt - notBefore, CLOCK_STEP_MS);
  return now < notBefore - tolerance ? undefined : authority;
}

/** No longer valid to anyone. */
function isOver(authority: Authority, now: number): boolean {
  return now >= authority.notAfter + LAST_SECOND_MS;
}

/** In milliseconds, from the instant of issue and not from the backdated notBefore. */
function life(authority: Authority): number {
  return authority.notAfter - authority.issuedAt;
}

type Wait = Extract<RotationStep<never>, { type: 'wait' }>;

function nextWait<A extends Authority>(
  authorities: readonly A[],
  active: A | undefined,
  prepared: A | undefined,
  facts: SlotFacts<A>,
  now: number,
): Wait {
  const waits: Wait[] = authorities
    .filter(({ state }) => state === 'old')
    .map(({ notAfter }) => ({ type: 'wait', until: notAfter + LAST_SECOND_MS, next: 'prune' }));
  if (active !== undefined && prepared === undefined) {
    waits.push({ type: 'wait', until: prepareAt(active), next: 'prepare' });
  }
  if (prepared !== undefined) {
    const until = takesOverAt(active, prepared, facts, now);
    waits.push({ type: 'wait', until, next: 'activate' });
  }
  if (prepared !== undefined) {
    waits.push({ type: 'wait', until: prepared.notAfter, next: 'prune' });
  }
  return waits.reduce((first, wait) => (wait.until < first.until ? wait : first));
}
