import type { Matcher, Predicate, ValueMatch } from '../authz/rbac/index.ts';

/** Shorter ones stand in any text. */
const MIN_CHARS = 4;

/**
 * The names of actions that a refusal of these trees is about: those that it names, and those below a
 * condition of which it shows the text.
 */
export function findBlamed(trees: readonly Matcher[], refusal: string): ReadonlySet<string> {
  const found = new Set<string>();
  for (const tree of trees) visit(tree, refusal, false, found);
  return found;
}

function visit(tree: Matcher, refusal: string, isBlamed: boolean, found: Set<string>): void {
  if (tree.kind === 'action') {
    if (isBlamed || isNamed(tree.name, refusal)) found.add(tree.name);
    return;
  }
  if (tree.kind === 'map') {
    for (const [key, then] of tree.entries)
      visit(then, refusal, isBlamed || shows(refusal, key), found);
  } else {
    for (const { when, then } of tree.entries)
      visit(then, refusal, isBlamed || textsOf(when).some((text) => shows(refusal, text)), found);
  }
  if (tree.otherwise !== undefined) visit(tree.otherwise, refusal, isBlamed, found);
}

/** A list of conditions that are tried at once blames what stands below it alone. */
function textsOf(when: Predicate): readonly string[] {
  switch (when.kind) {
    case 'value':
    case 'claim':
      return textOf(when.match);
    case 'and':
    case 'or':
      return when.all.flatMap(textsOf);
    case 'not':
      return textsOf(when.of);
    case 'no-client-certificate':
      return [];
    default:
      return when satisfies never;
  }
}

function textOf(match: ValueMatch): readonly string[] {
  if (match.kind === 'ip') return [];
  return [match.kind === 'regex' ? match.regex : match.text];
}

function shows(refusal: string, text: string): boolean {
  return text.length >= MIN_CHARS && refusal.includes(text);
}

/** In quotes: names are words. */
function isNamed(name: string, refusal: string): boolean {
  return ['""', "''", '``', '[]'].some(([open, close]) =>
    refusal.includes(`${open}${name}${close}`),
  );
}
