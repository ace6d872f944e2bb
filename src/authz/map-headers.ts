import type { CanonicalRequest } from './access-request.ts';
import { steps } from './effort.ts';
import { type Bindings, findBindings } from './match-rule.ts';
import type { PlanRule } from './plan.ts';
import type { MappedValue } from './policy.ts';

/** What is written into headers. */
export interface MappedHeaders {
  readonly headers: ReadonlyMap<string, string>;
  /** Those that a signed assertion goes into. */
  readonly asserted: readonly string[];
}

/**
 * What the rules that allow write into headers; undefined when two of them, or two ways to match one,
 * write different values into one header, or a value cannot stand in a header.
 */
export function mapHeaders(
  rules: readonly PlanRule[],
  request: CanonicalRequest,
): MappedHeaders | undefined {
  const headers = new Map<string, string>();
  const asserted = new Set<string>();
  for (const rule of rules) {
    if (rule.map === undefined) continue;
    const ways = rule.hasCaptures ? findBindings(rule, request) : [new Map<string, string>()];
    request.effort.spend(ways.length * rule.map.length * steps.way);
    for (const bindings of ways)
      for (const [header, mapped] of rule.map) {
        if (mapped.kind === 'assertion') {
          asserted.add(header);
          continue;
        }
        const value = valueOf(mapped, bindings, request);
        if (value === undefined) continue;
        if (value === 'unfit' || (headers.get(header) ?? value.text) !== value.text)
          return undefined;
        headers.set(header, value.text);
      }
  }
  if ([...asserted].some((header) => headers.has(header))) return undefined;
  return { headers, asserted: [...asserted].sort() };
}

/** Undefined: there is no such claim, so the header is removed. */
function valueOf(
  mapped: Exclude<MappedValue, { readonly kind: 'assertion' }>,
  bindings: Bindings,
  { callerId, claims }: CanonicalRequest,
): { readonly text: string } | 'unfit' | undefined {
  switch (mapped.kind) {
    case 'source.id':
      return callerId === undefined ? undefined : { text: callerId };
    case 'claim':
      return claims !== undefined && Object.hasOwn(claims, mapped.claim)
        ? claimText(claims[mapped.claim])
        : undefined;
    default:
      return fit(
        mapped.parts.map((part, at) => (at % 2 ? (bindings.get(part) ?? '') : part)).join(''),
      );
  }
}

/** A text, or a list of texts joined by commas; anything else is as good as missing. */
function claimText(claim: unknown): { readonly text: string } | 'unfit' | undefined {
  if (typeof claim === 'string') return fit(claim);
  if (!Array.isArray(claim) || claim.length === 0) return undefined;
  const texts = claim.map((one: unknown) => (typeof one === 'string' ? fit(one) : 'unfit'));
  return texts.includes('unfit')
    ? 'unfit'
    : { text: texts.map((one) => (one === 'unfit' ? '' : one.text)).join(',') };
}

/** Without control characters and commas; what is not ASCII is percent-encoded, and so is `%`. */
function fit(value: string): { readonly text: string } | 'unfit' {
  if (
    value === '' ||
    value.trim() !== value ||
    !/^[^\p{Cc},]*$/u.test(value) ||
    !value.isWellFormed()
  )
    return 'unfit';
  return { text: value.replaceAll(/[^\x20-\x24\x26-\x7e]+/gu, encodeURIComponent) };
}
