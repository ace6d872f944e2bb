import type { Pattern } from '../pattern.ts';
import type { CallerTest } from './branch.ts';
import type { Way } from './build-branches.ts';
import { globMachine, isAccepted } from './machine.ts';

/** False only if no request matches both; a glance that leaves out what cannot matter. `other` may be for those outside. */
export function mayMeet(one: Way, other: Way): boolean {
  return (
    listsMeet(one.methods, other.methods, (a, b) => a === b) &&
    listsMeet(one.ports, other.ports, (a, b) => a === b) &&
    listsMeet(one.paths, other.paths, beginAlike) &&
    callersMeet(one.caller, other.caller)
  );
}

function callersMeet(one: CallerTest | undefined, other: CallerTest | undefined): boolean {
  if (other?.isOutside === true) {
    const outer = other.ids ?? [];
    return one?.ids?.every((id) => outer.some((from) => isWithin(id, from))) !== true;
  }
  return listsMeet(one?.ids, other?.ids, beginAlike);
}

function listsMeet<T>(
  some: readonly T[] | undefined,
  others: readonly T[] | undefined,
  meet: (one: T, other: T) => boolean,
): boolean {
  if (some === undefined || others === undefined) return true;
  return some.some((one) => others.some((other) => meet(one, other)));
}

function beginAlike(one: Pattern, other: Pattern): boolean {
  const [a, b] = [beginningOf(one), beginningOf(other)];
  if (one.isExact) return other.isExact ? a === b : a.startsWith(b);
  if (other.isExact) return b.startsWith(a);
  return a.startsWith(b) || b.startsWith(a);
}

/** What every value that matches begins with. */
function beginningOf({ text, isExact }: Pattern): string {
  if (isExact) return text;
  const special = text.search(/[*{]/u);
  return text.slice(0, text.startsWith('**', special) && special > 0 ? special - 1 : special);
}

/** True only if whatever matches the allow matches the deny; again a glance. */
export function isCovered(allow: Way, deny: Way): boolean {
  const { caller, methods, paths, needsHttp } = deny;
  const isPlain = !(deny.hosts ?? deny.ports ?? deny.sourceIp ?? deny.destinationIp);
  if (!isPlain || (deny.from ?? deny.until) !== undefined) return false;
  if (deny.lists.size > 0 || deny.equal.length > 0 || (needsHttp && !allow.needsHttp)) return false;
  return (
    (caller === undefined || areCallersWithin(allow.caller, caller)) &&
    (methods === undefined || allow.methods?.every((one) => methods.includes(one)) === true) &&
    (paths === undefined || areWithin(allow.paths, paths))
  );
}

function areCallersWithin(inner: CallerTest | undefined, outer: CallerTest): boolean {
  if (inner === undefined || outer.except.length > 0) return false;
  if (!inner.credentials.every((one) => outer.credentials.includes(one))) return false;
  return outer.ids === undefined || areWithin(inner.ids, outer.ids);
}

function areWithin(inner: readonly Pattern[] | undefined, outer: readonly Pattern[]): boolean {
  return inner?.every((one) => outer.some((other) => isWithin(one, other))) === true;
}

/** True only if whatever matches `inner` matches `outer`. Of IDs and paths. */
function isWithin(inner: Pattern, outer: Pattern): boolean {
  if (inner.isExact) return outer.matches(inner.text);
  const [ins, outs] = [inner.segments(), outer.segments()];
  for (const [at, out] of outs.entries()) {
    if (out === '**' && at === outs.length - 1) return true;
    const segment = ins[at];
    if (segment === undefined || segment === '**') return false;
    if (segment !== out && !isSegmentWithin(segment, out)) return false;
  }
  return ins.length === outs.length;
}

function isSegmentWithin(inner: string, outer: string): boolean {
  if (outer === '*' || outer.startsWith('{')) return inner !== '';
  if (/[*{]/u.test(inner) || !outer.includes('*')) return false;
  return isAccepted(globMachine(outer), inner);
}
