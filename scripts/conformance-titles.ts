import ts from 'typescript';

/** A test and the conformance keys its title names. */
export interface TitledTest {
  readonly file: string;
  readonly title: string;
  readonly keys: readonly string[];
}

const KEY = /(?<![A-Za-z0-9-])[A-Z][A-Z0-9]*-[0-9]+(?![A-Za-z0-9-])/g;
const TEST_FUNCTIONS = new Set(['it', 'test']);
const NOT_RUN = new Set(['skip', 'todo']);

/**
 * Finds the tests of a source file and the keys in their titles. Comments, `describe` titles and tests
 * that do not run (`skip`, `todo`) do not count; a range names nothing.
 * @param prefixes what keys begin with, such as `SDS`
 */
export function findTitledTests(
  file: string,
  source: string,
  prefixes: ReadonlySet<string>,
): TitledTest[] {
  const tests: TitledTest[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const names = calledNames(node.expression);
      if (names.some((name) => NOT_RUN.has(name))) return;
      const title = titleText(node.arguments[0]);
      const isTest = TEST_FUNCTIONS.has(names[0] ?? '');
      if (isTest && title !== undefined) tests.push({ file, title, keys: keysIn(title, prefixes) });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, source, ts.ScriptTarget.ES2023, true));
  return tests;
}

/** `it.concurrent.each(rows)` is called by the names it, concurrent, each. */
function calledNames(expression: ts.Expression): string[] {
  if (ts.isIdentifier(expression)) return [expression.text];
  if (ts.isPropertyAccessExpression(expression)) {
    return [...calledNames(expression.expression), expression.name.text];
  }
  if (ts.isCallExpression(expression)) return calledNames(expression.expression);
  return ts.isTaggedTemplateExpression(expression) ? calledNames(expression.tag) : [];
}

function titleText(argument: ts.Expression | undefined): string | undefined {
  if (argument === undefined) return undefined;
  if (ts.isStringLiteralLike(argument)) return argument.text;
  if (!ts.isTemplateExpression(argument)) return undefined;
  const spans = argument.templateSpans.map(({ literal }) => `\${}${literal.text}`);
  return argument.head.text + spans.join('');
}

function keysIn(title: string, prefixes: ReadonlySet<string>): string[] {
  const keys = title.match(KEY) ?? [];
  return keys.filter((key) => prefixes.has(key.slice(0, key.lastIndexOf('-'))));
}
