import { builtinModules } from 'node:module';

/**
 * The map of allowed imports. Imports point down; siblings never meet; a folder that needs a sibling
 * declares the methods it needs and `app/` passes the object in. ARCHITECTURE.md's drawing is made
 * from this table (`npm run architecture`), so it cannot go stale.
 */
export const rooms = {
  spiffe: [],
  ops: ['spiffe'],
  wire: ['spiffe', 'ops'],
  store: ['spiffe', 'ops'],
  entries: ['spiffe', 'ops', 'store'],
  agents: ['spiffe', 'ops', 'store'],
  attest: ['spiffe', 'ops'],
  audit: ['spiffe', 'ops'],
  ca: ['spiffe', 'ops', 'store'],
  svid: ['spiffe', 'ops', 'store'],
  federation: ['spiffe', 'ops', 'wire', 'store'],
  revocations: ['spiffe', 'ops', 'store'],
  journal: ['spiffe', 'ops', 'store'],
  backup: ['spiffe', 'ops', 'store', 'journal'],
  servers: ['spiffe', 'ops', 'store'],
  policies: ['spiffe', 'ops', 'store', 'authz'],
  nats: ['spiffe', 'ops'],
  broadcast: ['spiffe', 'ops', 'nats'],
  sync: ['spiffe', 'ops', 'wire'],
  facts: ['spiffe', 'ops', 'wire', 'sync'],
  node: ['spiffe', 'ops', 'wire', 'store', 'sync'],
  authz: ['spiffe'],
  explain: ['spiffe'],
  check: ['spiffe', 'ops', 'wire', 'authz'],
  xds: ['spiffe', 'ops', 'wire'],
  sds: ['spiffe', 'ops', 'wire', 'xds'],
  ecds: ['spiffe', 'ops', 'wire', 'xds'],
  workload: ['spiffe', 'ops', 'wire'],
  envoy: ['spiffe', 'ops', 'authz'],
  api: [
    'spiffe',
    'ops',
    'wire',
    'store',
    'entries',
    'agents',
    'ca',
    'federation',
    'revocations',
    'servers',
    'policies',
    'sync',
    'explain',
  ],
  client: ['spiffe', 'ops', 'wire', 'sync'],
  app: [
    'spiffe',
    'ops',
    'wire',
    'store',
    'entries',
    'agents',
    'attest',
    'audit',
    'ca',
    'svid',
    'federation',
    'revocations',
    'journal',
    'backup',
    'servers',
    'policies',
    'broadcast',
    'nats',
    'sync',
    'facts',
    'node',
    'xds',
    'sds',
    'ecds',
    'workload',
    'api',
    'client',
    'authz',
    'check',
    'explain',
  ],
  cli: ['spiffe', 'ops', 'wire', 'client', 'authz', 'envoy', 'app'],
};

const builtins = `^(node:.+|${builtinModules.join('|')})$`;

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: '\\.(test|d)\\.ts$' },
      to: {},
    },
    {
      name: 'product-does-not-import-tests',
      severity: 'error',
      from: { path: '^src', pathNot: '\\.test\\.ts$' },
      to: { path: '^(test|bench|scripts|examples)/' },
    },
    {
      name: 'spiffe-is-pure',
      comment: 'spiffe/ does no I/O; node:crypto and node:buffer compute only.',
      severity: 'error',
      from: { path: '^src/spiffe', pathNot: '\\.test\\.ts$' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(crypto|buffer)$' },
    },
    {
      name: 'authz-runs-in-a-browser',
      comment: 'authz/ and whatever it imports use nothing of Node.',
      severity: 'error',
      from: { path: '^src/authz/', pathNot: '\\.test\\.ts$' },
      to: { path: builtins, reachable: true },
    },
    {
      name: 'nats-client-is-loaded-late',
      comment:
        'It takes 10 MB; what is behind a dynamic import may name it, and src/nats asks for it.',
      severity: 'error',
      from: {
        path: '^src/',
        pathNot:
          '(\\.test\\.ts|^src/store/jetstream-[a-z]+\\.ts|^src/nats/client-library\\.ts|^src/broadcast/broadcast-stream\\.ts)$',
      },
      to: { path: '@nats-io/', dependencyTypesNot: ['type-only'] },
    },
    ...Object.entries(rooms).map(([room, allowed]) => ({
      name: `imports-of-${room}`,
      severity: 'error',
      from: { path: `^src/${room}/`, pathNot: '\\.test\\.ts$' },
      to: { path: '^src/', pathNot: `^src/(${[room, ...allowed].join('|')})/` },
    })),
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'types'],
    },
  },
};
