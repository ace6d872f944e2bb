import { quote, TrustplaneError } from '../spiffe/index.ts';
import { type Authority, type AuthorityKind, kindNames } from './authority.ts';
import type { Publication } from './authority-publisher.ts';
import type { GateState } from './gate.ts';

/** Of one kind and server; the rotation by itself has three. */
const MAX_AUTHORITIES = 32;

/** What an operator forces on the authorities of one kind. Each step can be repeated: what is done already stays done. */
export interface ForcedSteps<Status> {
  /**
   * Makes the next authority and puts it into the bundle; one that is prepared already is replaced.
   * @throws TrustplaneError ERR_CA_EXPIRED while none is active, ERR_CA_AUTHORITY_LIMIT,
   * ERR_CA_CLOSED, ERR_STORE_*
   */
  prepare(): Promise<Status>;
  /**
   * Lets the prepared authority sign. With `force` also while not everybody knows it.
   * @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_AUTHORITY_STATE, ERR_CA_GATE naming who is
   * behind, ERR_CA_CLOSED, ERR_STORE_*
   */
  activate(authorityId: string, options?: { readonly force?: boolean }): Promise<Status>;
  /**
   * Has everything that an old authority signed replaced.
   * @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_AUTHORITY_STATE, ERR_CA_CLOSED, ERR_STORE_*
   */
  taint(authorityId: string): Promise<Status>;
  /**
   * Takes a tainted authority out of the bundle and destroys its key.
   * @throws TrustplaneError ERR_CA_AUTHORITY_ID, ERR_CA_AUTHORITY_STATE, ERR_CA_CLOSED, ERR_STORE_*
   */
  revoke(authorityId: string): Promise<Status>;
}

/** @throws TrustplaneError ERR_CA_AUTHORITY_ID */
export function requireAuthority<A extends Authority>(
  authorities: readonly A[],
  authorityId: string,
  kind: AuthorityKind,
): A {
  const found = authorities.find((authority) => authority.authorityId === authorityId);
  if (found !== undefined) return found;
  const known = authorities.map(({ authorityId, state }) => `${authorityId} (${state})`);
  throw new TrustplaneError(
    'ERR_CA_AUTHORITY_ID',
    `expected one of this server's ${kindNames[kind]} authorities, ${known.join(', ')}; got ${quote(authorityId)}`,
  );
}

/** @throws TrustplaneError ERR_CA_EXPIRED, ERR_CA_AUTHORITY_LIMIT */
export function checkPrepare(authorities: readonly Authority[]): void {
  if (!authorities.some(({ state }) => state === 'active')) {
    throw new TrustplaneError('ERR_CA_EXPIRED', 'no authority is active yet; try again soon');
  }
  const kept = authorities.filter(({ state }) => state !== 'prepared').length;
  if (kept < MAX_AUTHORITIES) return;
  throw new TrustplaneError(
    'ERR_CA_AUTHORITY_LIMIT',
    `there are ${kept} authorities that are active or old, and at most ${MAX_AUTHORITIES} may be; taint and revoke old ones`,
  );
}

/** @throws TrustplaneError ERR_CA_AUTHORITY_STATE, ERR_CA_CLOCK */
export function checkActivate(authority: Authority, now: number): void {
  const { authorityId, state, notBefore, notAfter } = authority;
  if (state !== 'prepared') {
    throw wrongState(`only a prepared authority can be activated; ${authorityId} is ${state}`);
  }
  if (now >= notAfter) {
    throw wrongState(
      `the prepared authority ${authorityId} expired at ${new Date(notAfter).toISOString()}; prepare another one`,
    );
  }
  if (now >= notBefore) return;
  throw new TrustplaneError(
    'ERR_CA_CLOCK',
    `the clock stands before the prepared authority ${authorityId}, valid from ${new Date(notBefore).toISOString()}; set the clock right`,
  );
}

/** @throws TrustplaneError ERR_CA_GATE */
export function checkGate({ authorityId }: Authority, { isOpen, behind }: GateState): void {
  if (isOpen) return;
  const shown = behind.slice(0, 5).map(({ who, why }) => `${who}: ${why}`);
  const more = behind.length > 5 ? `, and ${behind.length - 5} more` : '';
  throw new TrustplaneError(
    'ERR_CA_GATE',
    `the authority ${authorityId} is not known to everybody yet (${shown.join('; ')}${more}); wait, or force it: SVIDs it signs are then refused by those`,
  );
}

/** @throws TrustplaneError ERR_CA_AUTHORITY_STATE */
export function checkTaint({ authorityId, state }: Authority): void {
  if (state === 'old') return;
  const advice = state === 'active' ? '; prepare and activate another one first' : '';
  throw wrongState(`only an old authority can be tainted; ${authorityId} is ${state}${advice}`);
}

/** @throws TrustplaneError ERR_CA_AUTHORITY_STATE */
export function checkRevoke(authority: Authority, publication: Publication | undefined): void {
  const { authorityId, state } = authority;
  if (state !== 'old') {
    const advice = state === 'active' ? '; prepare and activate another one first' : '';
    throw wrongState(`only an old authority can be revoked; ${authorityId} is ${state}${advice}`);
  }
  if (publication === undefined || publication.isTainted) return;
  throw wrongState(
    `only a tainted authority can be revoked; taint ${authorityId} first, so that what it signed is replaced`,
  );
}

function wrongState(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CA_AUTHORITY_STATE', message);
}
