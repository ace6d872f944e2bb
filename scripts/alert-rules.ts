import { parser } from '@prometheus-io/lezer-promql';
import { z } from 'zod';
import { parseStrictYaml } from '../src/ops/index.ts';

/** One rule of a file of alerts for Prometheus. */
export interface Alert {
  readonly name: string;
  /** PromQL. */
  readonly expression: string;
  /** How long the expression holds before it is told, such as `5m`. */
  readonly holdsFor: string | undefined;
  readonly severity: 'page' | 'ticket';
  readonly summary: string;
  readonly description: string;
}

/** A metric that an expression reads, as Prometheus names it, and the labels that it goes by. */
export interface MetricUse {
  readonly metric: string;
  readonly labels: readonly string[];
}

const duration = z.string().regex(/^[1-9][0-9]*[smhd]$/u);
const text = z.string().min(1);
const rule = z.strictObject({
  alert: z.string().regex(/^Trustplane[A-Z][A-Za-z]+$/u),
  expr: text,
  for: duration.optional(),
  labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
  annotations: z.strictObject({ summary: text, description: text }),
});
const schema = z.strictObject({
  groups: z.array(z.strictObject({ name: text, rules: z.array(rule).min(1) })).min(1),
});

/** Throws when Prometheus would not take the file. */
export function parseAlerts(yaml: string): readonly Alert[] {
  const { groups } = schema.parse(parseStrictYaml(yaml, 'alerts.yaml').value);
  const rules = groups.flatMap((group) => group.rules);
  return rules.map(({ alert, expr, for: holdsFor, labels, annotations }) => {
    metricsIn(expr);
    return { name: alert, expression: expr, holdsFor, ...labels, ...annotations };
  });
}

/** Throws when the expression is no PromQL. */
export function metricsIn(expression: string): readonly MetricUse[] {
  const uses: { metric: string; labels: string[] }[] = [];
  parser.parse(expression).iterate({
    enter({ name, type, from, to }) {
      const word = expression.slice(from, to);
      if (type.isError) {
        throw new Error(`${expression}: not PromQL at character ${from + 1}`);
      }
      if (name === 'VectorSelector') uses.push({ metric: '', labels: [] });
      const last = uses.at(-1);
      if (name === 'Identifier' && last?.metric === '') last.metric = word;
      if (name === 'UnquotedLabelMatcher')
        last?.labels.push(/^[A-Za-z_][A-Za-z0-9_]*/u.exec(word)?.[0] ?? '');
    },
  });
  return uses;
}

/** A histogram is read by its buckets, its sum and its count. */
export function registeredName(metric: string): string {
  return metric.replace(/_(?:bucket|sum|count)$/u, (suffix) =>
    /_seconds_(?:bucket|sum|count)$/u.test(metric) ? '' : suffix,
  );
}

/** A Markdown table of alerts. */
export function formatAlertTable(alerts: readonly Alert[]): string {
  const rows = alerts.map(
    ({ name, summary, expression, holdsFor, severity, description }) =>
      `| \`${name}\` | ${summary} | \`${expression.replaceAll('|', '\\|')}\`${holdsFor === undefined ? '' : ` for ${holdsFor}`} | ${severity} | ${description} |`,
  );
  return [
    '| alert | when | expression | severity | what to look at |',
    '|---|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}
