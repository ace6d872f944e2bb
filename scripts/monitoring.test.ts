import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { formatAlertTable, metricsIn, parseAlerts, registeredName } from './alert-rules.ts';
import { readPage } from './reference-pages.ts';

const alerts = parseAlerts(readPage('examples/monitoring/alerts.yaml'));
const panel = z.looseObject({
  title: z.string().min(1),
  gridPos: z.strictObject({ h: z.int(), w: z.int(), x: z.int(), y: z.int() }),
  targets: z.array(z.looseObject({ refId: z.string(), expr: z.string() })).optional(),
});
const dashboard = z
  .looseObject({ uid: z.string(), title: z.string(), panels: z.array(panel) })
  .parse(JSON.parse(readPage('examples/monitoring/dashboard.json')));

/** Labels of each metric, as the reference has them. */
const known = new Map(
  readPage('docs/reference/metrics.md')
    .split('\n')
    .map((line) => line.split(' | '))
    .filter(([name]) => name?.startsWith('| `trustplane_') === true)
    .map((cells) => [
      cells[0]?.replaceAll(/[|` ]/gu, '') ?? '',
      new Set([...(cells[2] ?? '').matchAll(/`([a-z_]+)`/gu)].map((match) => match[1])),
    ]),
);
/** Of Prometheus itself. */
const everywhere = new Set(['instance', 'job', 'le']);

/** What an expression reads that no process has. */
function unknownIn(expression: string): string[] {
  return metricsIn(expression)
    .filter(({ metric }) => metric !== 'up')
    .flatMap(({ metric, labels }) => {
      const has = known.get(registeredName(metric));
      if (has === undefined) return [metric];
      return labels.filter((label) => !everywhere.has(label) && !has.has(label));
    });
}

describe('the alerts', () => {
  it.each(alerts.map((alert) => [alert.name, alert] as const))(
    '%s goes by metrics and labels that there are',
    (_, { expression }) => expect(unknownIn(expression)).toEqual([]),
  );

  it('have names of their own', () => {
    expect(new Set(alerts.map(({ name }) => name)).size).toBe(alerts.length);
  });
});

describe('the dashboard', () => {
  const panels = dashboard.panels.filter(({ targets }) => targets !== undefined);

  it.each(panels.map((one) => [one.title, one] as const))(
    '%s shows metrics and labels that there are',
    (_, { targets = [] }) => {
      expect(targets.length).toBeGreaterThan(0);
      // What Grafana puts in before it asks.
      const asked = targets.map(({ expr }) => expr.replaceAll('$__rate_interval', '5m'));
      expect(asked.flatMap(unknownIn)).toEqual([]);
    },
  );

  it('has room for each panel', () => {
    const fields = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(fields).size).toBe(fields.length);
    expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });
});

describe('what is wrong with a file of alerts', () => {
  const rule = (expr: string, severity = 'page'): string =>
    JSON.stringify({
      groups: [
        {
          name: 'g',
          rules: [
            {
              alert: 'TrustplaneTest',
              expr,
              labels: { severity },
              annotations: { summary: 's', description: 'd' },
            },
          ],
        },
      ],
    });

  it.each([
    ['an expression that ends early', rule('sum(rate(a[5m])'), 'not PromQL'],
    ['a range without an end', rule('rate(a[5m) > 0'), 'not PromQL'],
    ['an unknown severity', rule('a > 0', 'loud'), 'severity'],
    ['a rule with an unknown field', rule('a > 0').replace('"expr"', '"query"'), 'query'],
  ])('%s is refused', (_, text, why) => {
    expect(() => parseAlerts(text)).toThrow(why);
  });

  it('nothing is wrong with this one', () => {
    const [alert] = parseAlerts(rule('a{b="c|d"} > 0'));
    expect(alert).toMatchObject({ expression: 'a{b="c|d"} > 0', holdsFor: undefined });
    expect(formatAlertTable(alert === undefined ? [] : [alert])).toContain(
      '| `a{b="c\\|d"} > 0` |',
    );
  });
});
