import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { buildConfig, loadConfigFile } from '../src/app/config.ts';
import { defaultPaths } from '../src/app/default-paths.ts';
import { createProgram } from '../src/cli/program.ts';
import { everyCommand, helpOf } from './cli-reference.ts';
import { formatExampleFile, formatOptionTable } from './config-reference.ts';
import { formatErrors } from './error-reference.ts';
import { literalMetricsOf } from './literal-metrics.ts';
import { replaceMarked } from './marked-text.ts';
import { formatMetricTable } from './metric-reference.ts';
import { buildPages, readPage } from './reference-pages.ts';

const root = path.join(import.meta.dirname, '..');
const reference = path.join(root, 'docs', 'reference');

it('every generated page is as `npm run reference` writes it', async () => {
  const pages = await buildPages();
  expect([...pages.keys()].filter((file) => readPage(file) !== pages.get(file))).toEqual([]);
});

it('the example file says exactly what holds without a file', () => {
  const paths = defaultPaths(0, {});
  const example = loadConfigFile(path.join(reference, 'trustplane.yaml'), {});
  expect(buildConfig({}, example, paths)).toEqual(buildConfig({}, {}, paths));
});

it('the prose of metrics.md names only metrics that exist', () => {
  const text = readFileSync(path.join(reference, 'metrics.md'), 'utf8');
  const [table, prose] = text.split('<!-- end of metrics -->');
  const named = [...(prose ?? '').matchAll(/trustplane_[a-z0-9_]+/g)].map((match) =>
    match[0].replace(/_bucket$/, ''),
  );
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => table?.includes(`\`${name}\``) !== true)).toEqual([]);
});

describe('help', () => {
  const io = { out: () => {}, err: () => {}, env: {}, uid: 0 };
  const commands = everyCommand(createProgram(io));

  it.each(commands.map((command) => [command.name(), command] as const))(
    'of %s has examples',
    (_name, command) => {
      expect(helpOf(command)).toMatch(/\nExamples:\n {2}\S/);
    },
  );
});

const schema = {
  type: 'object',
  properties: {
    low: { type: 'integer', description: 'How low.', default: 3, minimum: 1 },
    room: {
      type: 'object',
      properties: {
        name: { type: 'string', description: 'A <name>.', $comment: 'a word', examples: ['x'] },
        kind: { type: 'string', description: 'Which.', default: 'a', enum: ['a', 'b'] },
      },
    },
    spare: {
      type: 'object',
      properties: { on: { type: 'boolean', description: 'Rare.', examples: ['true'] } },
    },
  },
};

it('the example file has a section for each object and comments out what is off', () => {
  const text = formatExampleFile(schema);
  expect(text.slice(text.indexOf('# How low.'))).toBe(
    [
      '# How low.',
      '# Value: whole number from 1.',
      'low: 3',
      '',
      'room:',
      '  # A <name>.',
      '  # Value: a word.',
      '  #name: x',
      '',
      '  # Which.',
      '  # Value: a, b.',
      '  kind: a',
      '',
      '#spare:',
      '  # Rare.',
      '  # Value: true, false.',
      '  #on: true',
      '',
    ].join('\n'),
  );
});

it('the table of options has their full names', () => {
  expect(formatOptionTable(schema)).toContain(
    '| `room.name` | a word | off | start | A &lt;name>. |',
  );
});

it('an option without a description is refused', () => {
  const bare = { type: 'object', properties: { low: { type: 'integer', default: 3 } } };
  expect(() => formatOptionTable(bare)).toThrow('low has no description');
});

it('an error code that the source does not group is refused', () => {
  expect(() => formatErrors('  // a: b\n  ERR_DER: [],\n')).toThrow('not found in the source');
});

it('metrics are found where they are registered, with help and labels', () => {
  const text = `metrics.counter('trustplane_a_total', 'A.', ['x', 'y']);
    metrics.histogram('trustplane_b_seconds', 'B.', [0.1, 1]); metrics.gauge(name, 'C.');
    metrics.readGauge('trustplane_d', 'D.', (set) => set({ z: '1' }, 1), ['z']); log.info('trustplane_e');`;
  expect(literalMetricsOf(text)).toEqual([
    { name: 'trustplane_a_total', type: 'counter', help: 'A.', labels: ['x', 'y'] },
    { name: 'trustplane_b_seconds', type: 'histogram', help: 'B.', labels: [] },
    { name: 'trustplane_d', type: 'gauge', help: 'D.', labels: ['z'] },
  ]);
});

it('metrics are in the order of their names, with the alerts that go by them', () => {
  const metric = { type: 'gauge', labels: ['l'], help: 'H.' } as const;
  const table = formatMetricTable(
    [
      { ...metric, name: 'b' },
      { ...metric, name: 'a' },
    ],
    [{ name: 'BIsLow', expression: 'rate(b[5m]) < 1 or b > a_seconds_bucket' }],
  );
  expect(table.split('\n').slice(2)).toEqual([
    '| `a` | gauge | `l` | H. |  |',
    '| `b` | gauge | `l` | H. | `BIsLow` |',
    '',
  ]);
});

it('marked text is replaced, and missing marks are refused', () => {
  const page = 'a\n<!-- m -->\nold\n<!-- end of m -->\nb\n';
  expect(replaceMarked(page, 'm', 'new\n')).toBe('a\n<!-- m -->\nnew\n<!-- end of m -->\nb\n');
  expect(() => replaceMarked('a\n', 'm', '')).toThrow('missing');
});
