import { canonicalText } from '../authz/index.ts';
import { yaml } from '../ops/index.ts';
import { readPolicy } from '../policies/texts/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { layOut } from './policy-layout.ts';

/** What is written differently after so many times never settles. */
const MAX_ROUNDS = 4;

/**
 * The policy in the one form that there is of it: the order of members, the division into lines. Every comment
 * stays, and what the policy means; a policy in that form already is the same bytes.
 * @throws TrustplaneError ERR_POLICY, ERR_YAML, ERR_CONFIG
 */
export function formatPolicy(file: string, bytes: Uint8Array): string {
  const before = readPolicy({ name: file, bytes });
  const source = new TextDecoder().decode(bytes).replaceAll('\r\n', '\n');
  const text = settle(source);
  const after =
    text === undefined ? undefined : readPolicy({ name: file, bytes: Buffer.from(text) });
  if (
    text === undefined ||
    after === undefined ||
    canonicalText([before.policy]) !== canonicalText([after.policy]) ||
    !isSameValue(before.document.value, after.document.value) ||
    commentsOf(source) !== commentsOf(text)
  )
    throw new TrustplaneError(
      'ERR_POLICY',
      `${file}: cannot be formatted without a change of what it says; move comments to lines of their own`,
    );
  return text;
}

/** Comments move when it is first written anew; then they stay. */
function settle(source: string): string | undefined {
  let text = source;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const next = layOut(yaml().parseDocument(text, { schema: 'core', merge: false }));
    if (next === text) return text;
    text = next;
  }
  return undefined;
}

/** The order of members is not part of a value. */
function isSameValue(one: unknown, other: unknown): boolean {
  return sorted(one) === sorted(other);
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'object' && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

/** All of them, in no order. */
function commentsOf(text: string): string {
  const found: string[] = [];
  for (const lexeme of new (yaml().Lexer)().lex(text))
    if (yaml().CST.tokenType(lexeme) === 'comment') found.push(lexeme.slice(1).trim());
  return found.sort().join('\n');
}
