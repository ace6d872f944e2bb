/** What a panel of the dashboard shows. */
interface Panel {
  readonly title: string;
  readonly description: string;
  readonly unit: 's' | 'short' | 'ops' | 'bytes' | 'bool';
  readonly kind?: 'stat';
  /** PromQL by legend. */
  readonly lines: Readonly<Record<string, string>>;
}

const WIDTH = 8;
const HEIGHT = 7;
const COLUMNS = 24;

const p99 = (metric: string, by = ''): string =>
  `histogram_quantile(0.99, sum by (${by === '' ? 'le' : `le, ${by}`}) (rate(${metric}_bucket{instance=~"$instance"}[$__rate_interval])))`;
const rate = (metric: string, by: string): string =>
  `sum by (${by}) (rate(${metric}{instance=~"$instance"}[$__rate_interval]))`;
const now = (metric: string): string => `${metric}{instance=~"$instance"}`;

const rows: Readonly<Record<string, readonly Panel[]>> = {
  'At a glance': [
    {
      title: 'Ready',
      description: 'Processes that do their work.',
      unit: 'bool',
      kind: 'stat',
      lines: { '{{instance}}': now('trustplane_app_ready') },
    },
    {
      title: 'Until nothing can sign',
      description: 'If no new authority is made.',
      unit: 's',
      kind: 'stat',
      lines: { '{{kind}} {{instance}}': now('trustplane_ca_runway_seconds') },
    },
    {
      title: 'SVID that expires first',
      description: 'SVIDs are renewed at half of their life.',
      unit: 's',
      kind: 'stat',
      lines: { '{{instance}}': now('trustplane_svid_least_left_seconds') },
    },
  ],
  Propagation: [
    {
      title: 'Change to agent, p99',
      description: 'From a change at the server to the acknowledgement of the agent.',
      unit: 's',
      lines: { agents: p99('trustplane_sync_lag_seconds') },
    },
    {
      title: 'Secret to Envoy, p99',
      description: 'From sending a secret to its acknowledgement.',
      unit: 's',
      lines: { Envoys: p99('trustplane_sds_ack_seconds') },
    },
    {
      title: 'Rules to Envoy, p99',
      description: 'From sending an extension configuration to its acknowledgement.',
      unit: 's',
      lines: { Envoys: p99('trustplane_ecds_ack_seconds') },
    },
    {
      title: 'Streams',
      description: 'Who listens.',
      unit: 'short',
      lines: {
        'SDS {{kind}}': `sum by (kind) (${now('trustplane_sds_streams')})`,
        'ECDS {{kind}}': `sum by (kind) (${now('trustplane_ecds_streams')})`,
        'Workload API {{method}}': `sum by (method) (${now('trustplane_workload_streams')})`,
        agents: `sum(${now('trustplane_sync_streams_count')})`,
      },
    },
    {
      title: 'Names that Envoys wait for',
      description: 'Nobody is entitled to them, or not yet.',
      unit: 'short',
      lines: { '{{instance}}': now('trustplane_sds_waiting_names') },
    },
    {
      title: 'Refused by Envoy',
      description: 'Secrets and extension configurations.',
      unit: 'ops',
      lines: {
        'secrets {{resource}}': rate('trustplane_sds_nacks_total', 'resource'),
        'rules {{resource}}': rate('trustplane_ecds_nacks_total', 'resource'),
      },
    },
  ],
  Issuance: [
    {
      title: 'SVIDs issued',
      description: 'By the servers.',
      unit: 'ops',
      lines: {
        X509: rate('trustplane_api_svids_total', 'instance'),
        JWT: rate('trustplane_api_jwt_svids_total', 'instance'),
      },
    },
    {
      title: 'SVIDs refused',
      description: 'By error code.',
      unit: 'ops',
      lines: {
        'X509 {{code}}': rate('trustplane_api_svid_refusals_total', 'code'),
        'JWT {{code}}': rate('trustplane_api_jwt_svid_refusals_total', 'code'),
      },
    },
    {
      title: 'Nodes',
      description: 'Attestations accepted by type, and refused by error code.',
      unit: 'ops',
      lines: {
        '{{type}}': rate('trustplane_agents_attestations_total', 'type'),
        'refused: {{code}}': rate('trustplane_api_attestation_refusals_total', 'code'),
      },
    },
  ],
  Authorization: [
    {
      title: 'Decisions',
      description: 'By reason.',
      unit: 'ops',
      lines: { '{{reason}}': rate('trustplane_authz_decisions_total', 'reason') },
    },
    {
      title: 'Decision, p99',
      description: "From a request's bytes to the decision.",
      unit: 's',
      lines: { decision: p99('trustplane_authz_decision_seconds') },
    },
    {
      title: 'Envoys with rules',
      description: 'By whether they decide by the present policies.',
      unit: 'short',
      lines: { '{{state}}': `sum by (state) (${now('trustplane_rbac_envoys_count')})` },
    },
  ],
  'State and federation': [
    {
      title: 'Store commit, p99',
      description: 'From a batch of writes to its durable answer.',
      unit: 's',
      lines: { '{{instance}}': p99('trustplane_store_commit_seconds', 'instance') },
    },
    {
      title: 'What stands',
      description: 'Entries, agents, revocations.',
      unit: 'short',
      lines: {
        entries: `max(${now('trustplane_entries_current_count')})`,
        agents: `max(${now('trustplane_agents_current_count')})`,
        revocations: `max(${now('trustplane_revocations_current_count')})`,
      },
    },
    {
      title: 'Age of foreign bundles',
      description: 'Since their endpoints last confirmed them.',
      unit: 's',
      lines: { '{{trust_domain}}': now('trustplane_federation_bundle_age_seconds') },
    },
  ],
};

/** The dashboard as Grafana imports it; it asks for the data source. JSON. */
export function formatDashboard(): string {
  const dashboard = {
    title: 'trustplane',
    uid: 'trustplane',
    description: 'Servers, agents and authorization of a trust domain.',
    tags: ['spiffe'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: [dataSource, instance] },
    panels: layOut(),
  };
  return `${JSON.stringify(dashboard, null, 2)}\n`;
}

const source = { type: 'prometheus', uid: '$datasource' };
const dataSource = {
  name: 'datasource',
  type: 'datasource',
  query: 'prometheus',
  label: 'Data source',
};
const instance = {
  name: 'instance',
  type: 'query',
  label: 'Instance',
  datasource: source,
  query: 'label_values(trustplane_app_ready, instance)',
  includeAll: true,
  multi: true,
  refresh: 2,
};

function layOut(): readonly object[] {
  const panels: object[] = [];
  let y = 0;
  for (const [title, group] of Object.entries(rows)) {
    const id = panels.length + 1;
    panels.push({
      id,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { h: 1, w: COLUMNS, x: 0, y },
    });
    y += 1;
    for (const [at, panel] of group.entries()) {
      const x = (at * WIDTH) % COLUMNS;
      const top = y + Math.floor((at * WIDTH) / COLUMNS) * HEIGHT;
      panels.push(draw(panel, id + at + 1, { h: HEIGHT, w: WIDTH, x, y: top }));
    }
    y += Math.ceil((group.length * WIDTH) / COLUMNS) * HEIGHT;
  }
  return panels;
}

function draw(
  { title, description, unit, kind, lines }: Panel,
  id: number,
  gridPos: object,
): object {
  const targets = Object.entries(lines).map(([legendFormat, expr], at) => ({
    refId: String.fromCodePoint(65 + at),
    datasource: source,
    expr,
    legendFormat,
  }));
  const type = kind ?? 'timeseries';
  const fieldConfig = { defaults: { unit, min: 0 }, overrides: [] };
  return { id, type, title, description, datasource: source, gridPos, fieldConfig, targets };
}
