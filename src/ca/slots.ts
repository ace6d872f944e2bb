import type { X509CaAuthority } from './authority.ts';

/** The one thing to do now. */
export type RotationStep =
  | { readonly type: 'prepare' }
  | { readonly type: 'publish' | 'activate' | 'prune'; readonly authority: X509CaAuthority }
  | { readonly type: 'wait'; readonly until: number };

/** Share of the active authority's life after which the next one is prepared. */
const PREPARE_AFTER = 1 / 2;
/** Share of its life after which the next one takes over. */
const ACTIVATE_AFTER = 5 / 6;
/** How long the next one stands in the bundle first, if it was prepared late: until every reader is back. */
const KNOWN_FOR_MS = 60_000;
/** A clock that is this little, or the backdate, before an authority catches up with it soon. */
const CLOCK_STEP_MS = 60_000;
/** A certificate is valid through the second of its notAfter. */
const LAST_SECOND_MS = 1000;

/**
 * Decides what rotation does next (design D4). An authority stands in the bundle before it signs;
 * it leaves the bundle only when it has expired. A clock set back a little changes nothing. An
 * authority that was made while the clock was far ahead is replaced: nobody with the right time takes
 * what it signed.
 */
export function nextStep(
  authorities: readonly X509CaAuthority[],
  isPublished: (authority: X509CaAuthority) => boolean,
  now: number,
): RotationStep {
  const inState = (state: X509CaAuthority['state']): X509CaAuthority | undefined =>
    authorities.find((authority) => authority.state === state);
  const active = presentOne(inState('active'), now);
  const prepared = inState('prepared');
  const current = presentOne(prepared, now);
  const usable = current !== undefined && now < current.parsed.notAfter ? current : undefined;
  for (const authority of [usable, active]) {
    if (authority !== undefined && !isOver(authority, now) && !isPublished(authority)) {
      return { type: 'publish', authority };
    }
  }
  if (usable !== undefined && (active === undefined || now >= activateAt(active, usable))) {
    return { type: 'activate', authority: usable };
  }
  if (usable === undefined && prepared !== undefined) {
    return { type: 'prune', authority: prepared };
  }
  if (usable === undefined && (active === undefined || now >= prepareAt(active))) {
    return { type: 'prepare' };
  }
  const expired = authorities.find(
    (authority) => authority.state === 'old' && isOver(authority, now),
  );
  if (expired !== undefined) return { type: 'prune', authority: expired };
  return { type: 'wait', until: nextInstant(authorities, active, usable) };
}

function prepareAt(active: X509CaAuthority): number {
  return active.issuedAt + life(active) * PREPARE_AFTER;
}

/** At 5/6; after a time without a server later, but with half of what was left of the active one's life to spare. */
function activateAt(active: X509CaAuthority, prepared: X509CaAuthority): number {
  const known = Math.min(
    prepared.issuedAt + KNOWN_FOR_MS,
    (prepared.issuedAt + active.parsed.notAfter) / 2,
  );
  return Math.max(active.issuedAt + life(active) * ACTIVATE_AFTER, known);
}

/** The prepared authority becomes active, the active one old. */
export function activate(
  authorities: readonly X509CaAuthority[],
  authorityId: string,
): readonly X509CaAuthority[] {
  return retireActive(authorities).map((authority) =>
    authority.authorityId === authorityId ? { ...authority, state: 'active' } : authority,
  );
}

export function retireActive(authorities: readonly X509CaAuthority[]): readonly X509CaAuthority[] {
  return authorities.map((authority) =>
    authority.state === 'active' ? { ...authority, state: 'old' } : authority,
  );
}

export function without(
  authorities: readonly X509CaAuthority[],
  authorityId: string,
): readonly X509CaAuthority[] {
  return authorities.filter((authority) => authority.authorityId !== authorityId);
}

/** The authority, unless the clock stands so far before it that whoever has the same time refuses it. */
function presentOne(
  authority: X509CaAuthority | undefined,
  now: number,
): X509CaAuthority | undefined {
  if (authority === undefined) return undefined;
  const { issuedAt, parsed } = authority;
  const tolerance = Math.max(issuedAt - parsed.notBefore, CLOCK_STEP_MS);
  return now < parsed.notBefore - tolerance ? undefined : authority;
}

/** No longer valid to anyone. */
function isOver(authority: X509CaAuthority, now: number): boolean {
  return now >= authority.parsed.notAfter + LAST_SECOND_MS;
}

/** In milliseconds, from the instant of issue and not from the backdated notBefore. */
function life(authority: X509CaAuthority): number {
  return authority.parsed.notAfter - authority.issuedAt;
}

function nextInstant(
  authorities: readonly X509CaAuthority[],
  active: X509CaAuthority | undefined,
  prepared: X509CaAuthority | undefined,
): number {
  const instants = authorities
    .filter(({ state }) => state === 'old')
    .map((authority) => authority.parsed.notAfter + LAST_SECOND_MS);
  if (active !== undefined) {
    instants.push(prepared === undefined ? prepareAt(active) : activateAt(active, prepared));
  }
  if (prepared !== undefined) instants.push(prepared.parsed.notAfter);
  return Math.min(...instants);
}
