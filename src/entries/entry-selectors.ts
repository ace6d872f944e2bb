import { formatSelector, parseSelector, type Selector } from '../spiffe/index.ts';
import { fieldError, quote, refused } from './entry-error.ts';
import { entryLimits } from './entry-limits.ts';

const MAX_UNIX_ID = 2 ** 32 - 1;

interface ValueRule {
  readonly expected: string;
  readonly allows: (value: string) => boolean;
}

const numericId: ValueRule = {
  expected: `a decimal number from 0 to ${MAX_UNIX_ID}`,
  allows: (value) => /^(0|[1-9][0-9]{0,9})$/u.test(value) && Number(value) <= MAX_UNIX_ID,
};
const name: ValueRule = { expected: 'a name', allows: (value) => value !== '' };

const unixRules: ReadonlyMap<string, ValueRule> = new Map([
  ['uid', numericId],
  ['gid', numericId],
  ['user', name],
  ['group', name],
  ['supplementary_gid', numericId],
  ['supplementary_group', name],
  ['path', { expected: 'an absolute path', allows: (value) => value.startsWith('/') }],
  [
    'sha256',
    { expected: '64 lower-case hex digits', allows: (value) => /^[0-9a-f]{64}$/u.test(value) },
  ],
]);

/**
 * Checks selectors and puts them in canonical order, without duplicates. Any type is taken: agents may
 * have attestors that nobody here has heard of.
 * @throws TrustplaneError ERR_ENTRY_SELECTORS
 */
export function parseSelectors(selectors: readonly Selector[]): readonly Selector[] {
  if (selectors.length === 0) throw bad('selectors', 'at least one selector', 'none');
  const byText = new Map<string, Selector>();
  for (const [i, selector] of selectors.entries()) {
    checkSelector(selector, `selectors[${i}]`);
    byText.set(formatSelector(selector), { type: selector.type, value: selector.value });
  }
  if (byText.size > entryLimits.selectors) {
    throw bad('selectors', `at most ${entryLimits.selectors} selectors`, `${byText.size}`);
  }
  return [...byText.keys()].sort().flatMap((text) => byText.get(text) ?? []);
}

function checkSelector({ type, value }: Selector, field: string): void {
  const parsed = refused('ERR_ENTRY_SELECTORS', field, () => parseSelector(`${type}:${value}`));
  if (parsed.type !== type) throw bad(`${field}.type`, 'a type without colons', quote(type));
  if (type === 'unix') checkUnix(value, `${field}.value`);
}

function checkUnix(text: string, field: string): void {
  const colon = text.indexOf(':');
  const key = colon === -1 ? text : text.slice(0, colon);
  const rule = colon === -1 ? undefined : unixRules.get(key);
  if (rule === undefined) {
    throw bad(
      field,
      `key:value with a key out of ${[...unixRules.keys()].join(', ')}`,
      quote(text),
    );
  }
  const value = text.slice(colon + 1);
  if (!rule.allows(value)) throw bad(`${field} (unix:${key})`, rule.expected, quote(value));
}

function bad(field: string, expected: string, got: string): Error {
  return fieldError('ERR_ENTRY_SELECTORS', field, expected, got);
}
