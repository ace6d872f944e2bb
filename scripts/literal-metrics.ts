import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import type { Metric } from './metric-reference.ts';

const types: Readonly<Record<string, Metric['type']>> = {
  counter: 'counter',
  gauge: 'gauge',
  histogram: 'histogram',
  readGauge: 'gauge',
};

const root = path.join(import.meta.dirname, '..');

/** The metrics that the source in `src/` registers with names that stand there as they are. */
export function findLiteralMetrics(): Metric[] {
  return globSync('src/**/*.ts', { cwd: root })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) => literalMetricsOf(readFileSync(path.join(root, file), 'utf8')));
}

/** Of one file's text. */
export function literalMetricsOf(text: string): Metric[] {
  if (!text.includes("'trustplane_")) return [];
  const found: Metric[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) found.push(...metricOf(node));
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('a.ts', text, ts.ScriptTarget.Latest));
  return found;
}

/** `metrics.counter('trustplane_…', 'Help.', ['label'])`; the labels come last, or not at all. */
function metricOf({ expression, arguments: given }: ts.CallExpression): Metric[] {
  if (!ts.isPropertyAccessExpression(expression)) return [];
  const type = types[expression.name.text];
  const [name, help] = given;
  if (type === undefined || name === undefined || help === undefined) return [];
  if (!ts.isStringLiteral(name) || !name.text.startsWith('trustplane_')) return [];
  if (!ts.isStringLiteralLike(help)) return [];
  const last = given.slice(2).findLast(ts.isArrayLiteralExpression);
  const labels = last?.elements.filter(ts.isStringLiteral).map(({ text }) => text) ?? [];
  return [{ name: name.text, type, help: help.text, labels }];
}
