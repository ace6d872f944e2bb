import type { AccessRequest } from './access-request.ts';
import { decide } from './decide.ts';
import type { Decision } from './decision.ts';
import type { Plan } from './plan.ts';

/** A decision and whom it is about. */
export interface CallerDecision {
  readonly decision: Decision;
  /** Whom what is asserted is about; undefined: nobody who is known. */
  readonly callerId: string | undefined;
}

/**
 * Decides for a caller that may have two credentials: each rule is matched with the ID of the certificate
 * and with that of the token, and matches by either. So what denies one of them denies both, and what
 * two of them write into one header must agree. Never throws.
 */
export function decideEither(plan: Plan, request: AccessRequest): CallerDecision {
  if (request.tokenCaller === undefined)
    return { decision: decide(plan, request), callerId: idOf(request.caller) };
  const { tokenCaller, ...asked } = request;
  const first = { decision: decide(plan, asked), callerId: idOf(asked.caller) };
  if (isFinal(first.decision)) return first;
  const credential = 'jwt-svid';
  const decision = decide(plan, { ...asked, caller: tokenCaller, credential });
  const second = { decision, callerId: tokenCaller.toString() };
  if (isFinal(decision)) return second;
  if (!decision.isAllowed) return first;
  return first.decision.isAllowed ? united(first, second) : second;
}

/** Another ID makes no difference. */
function isFinal({ isAllowed, reason }: Decision): boolean {
  return !isAllowed && reason !== 'no_rule_matched';
}

/** Of two that allow. */
function united(first: CallerDecision, second: CallerDecision): CallerDecision {
  const [one, other] = [first.decision, second.decision];
  const asserted = [...new Set([...one.assertedHeaders, ...other.assertedHeaders])].sort();
  const headers = new Map([...one.headers, ...other.headers]);
  const isAssertedTwice = one.assertedHeaders.length > 0 && other.assertedHeaders.length > 0;
  const isConflict =
    [...one.headers].some(([name, value]) => headers.get(name) !== value) ||
    asserted.some((name) => headers.has(name)) ||
    (isAssertedTwice && first.callerId !== second.callerId);
  if (isConflict) return { ...first, decision: conflictOf(one) };
  const removed = new Set([...one.removedHeaders, ...other.removedHeaders]);
  for (const name of [...headers.keys(), ...asserted]) removed.delete(name);
  return {
    callerId: one.assertedHeaders.length > 0 ? first.callerId : second.callerId,
    decision: {
      ...other,
      ...one,
      headers,
      assertedHeaders: asserted,
      removedHeaders: [...removed].sort(),
      observed: [...new Set([...one.observed, ...other.observed])],
      log: one.log ?? other.log,
    },
  };
}

function conflictOf(decision: Decision): Decision {
  return {
    ...decision,
    isAllowed: false,
    reason: 'mapping_conflict',
    headers: new Map(),
    removedHeaders: [],
    assertedHeaders: [],
  };
}

function idOf(caller: AccessRequest['caller']): string | undefined {
  return typeof caller === 'string' ? undefined : caller.toString();
}
