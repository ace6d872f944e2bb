import { readFileSync } from 'node:fs';
import { configJsonSchema } from '../src/app/config.ts';
import { applyJsonSchema } from '../src/apply/index.ts';
import { policyJsonSchema } from '../src/authz/index.ts';
import { createProgram } from '../src/cli/program.ts';
import { formatAlertTable, parseAlerts } from './alert-rules.ts';
import { formatCommands } from './cli-reference.ts';
import { formatExampleFile, formatOptionTable } from './config-reference.ts';
import { formatDashboard } from './dashboard.ts';
import { formatErrors } from './error-reference.ts';
import { formatFindings } from './explain-reference.ts';
import { formatLintRules } from './lint-reference.ts';
import { replaceMarked } from './marked-text.ts';
import { findMetrics, formatMetricTable } from './metric-reference.ts';

const root = new URL('../', import.meta.url);

/** What the generated pages of docs/reference must say, by path; the prose around marks is kept. */
export async function buildPages(): Promise<ReadonlyMap<string, string>> {
  const schema = configJsonSchema();
  const marked = (name: string, mark: string, text: string): [string, string] => {
    const file = `docs/reference/${name}`;
    return [file, replaceMarked(readPage(file), mark, text)];
  };
  const metrics = 'docs/reference/metrics.md';
  const alerts = parseAlerts(readPage('examples/monitoring/alerts.yaml'));
  const withAlerts = replaceMarked(readPage(metrics), 'alerts', formatAlertTable(alerts));
  return new Map([
    ['docs/reference/config.schema.json', `${JSON.stringify(schema, null, 2)}\n`],
    ['docs/reference/apply.schema.json', `${JSON.stringify(applyJsonSchema(), null, 2)}\n`],
    ['docs/reference/policy.schema.json', `${JSON.stringify(policyJsonSchema(), null, 2)}\n`],
    ['docs/reference/trustplane.yaml', formatExampleFile(schema)],
    marked('configuration.md', 'options', formatOptionTable(schema)),
    marked('cli.md', 'commands', formatCommands(createProgram(rootIo))),
    marked('envoy-lint.md', 'codes', formatLintRules()),
    marked('explain.md', 'codes', formatFindings()),
    marked('errors.md', 'codes', formatErrors(readPage('src/spiffe/errors.ts'))),
    ['examples/monitoring/dashboard.json', formatDashboard()],
    [metrics, replaceMarked(withAlerts, 'metrics', formatMetricTable(await findMetrics(), alerts))],
  ]);
}

/** The text of a file of the project; empty where there is none yet. */
export function readPage(file: string): string {
  try {
    return readFileSync(new URL(file, root), 'utf8');
  } catch {
    return '';
  }
}

/** The help names the defaults for root. */
const rootIo = { out: () => {}, err: () => {}, env: {}, uid: 0 };
