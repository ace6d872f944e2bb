import { describe, expect, it } from 'vitest';
import { TrustplaneError } from '../../spiffe/index.ts';
import { fixEnvoy, lintEnvoy } from './lint-envoy.ts';
import { readConfig } from './read-config.ts';

const refusal = (text: string): string => {
  try {
    lintEnvoy([{ file: 'e.yaml', text }]);
  } catch (error) {
    if (error instanceof TrustplaneError) return `${error.code} ${error.message}`;
    throw error;
  }
  return 'was read';
};
const fix = (text: string): string =>
  fixEnvoy([{ file: 'e.yaml', text }]).texts[0]?.text ?? 'no text';

describe('what is refused', () => {
  it.each([
    ['a: [', 'ERR_YAML e.yaml:1:5: '],
    ['a: 1\na: 2', 'ERR_YAML e.yaml:2:1: the key a stands here a second time'],
    ['a: *b', 'ERR_YAML e.yaml:1:4: nothing above has the anchor b'],
    ['a: &a { b: *a }', 'ERR_YAML e.yaml:1:12: the alias a stands for what it is part of'],
    ['a: &a { b: 1 }\nc: { <<: *a }', 'ERR_YAML e.yaml:2:6: Envoy does not read merge keys (<<)'],
    ['? [a]\n: 1', 'ERR_YAML e.yaml:1:3: a key must be a text, not a list or a map'],
    ['a: 1\n---\nb: 2', 'ERR_YAML e.yaml:2:1: a second document begins here; a file has one'],
    ['', 'ERR_ENVOY_CONFIG e.yaml: expected a configuration of Envoy'],
    ['just a text', 'ERR_ENVOY_CONFIG e.yaml: expected a configuration of Envoy'],
    ['[]', 'ERR_ENVOY_CONFIG e.yaml: expected a configuration of Envoy'],
    ['apiVersion: v1\nkind: ConfigMap', 'got apiVersion, kind'],
  ])('%j', (text, message) => {
    expect(refusal(text)).toContain(message);
  });

  it('more than 1 MiB', () => {
    expect(refusal(`a: "${'x'.repeat(1_048_576)}"`)).toBe(
      'ERR_YAML e.yaml: has 1048581 bytes; at most 1048576 are read',
    );
  });

  it('aliases that stand for billions', () => {
    const bomb = [
      'a0: &a0 [x, x, x, x, x, x, x, x, x, x]',
      ...Array.from({ length: 12 }, (_, n) => `a${n + 1}: &a${n + 1} [${`*a${n}, `.repeat(10)}]`),
    ];
    expect(refusal(bomb.join('\n'))).toMatch(
      /has over 200000 values, with what aliases stand for$/u,
    );
  });

  it.each([
    ['between brackets', '['.repeat(100_000)],
    ['by dashes', '- '.repeat(100_000)],
    ['by indentation', Array.from({ length: 500 }, (_, n) => `${' '.repeat(n)}a:`).join('\n')],
  ])('what is nested %s', (_how, text) => {
    expect(refusal(text)).toMatch(/^ERR_YAML e\.yaml:\d+:\d+: is nested too deeply$/u);
  });
});

it('follows aliases, and keeps where their values stand', () => {
  const root = readConfig('a: &a { b: 7 }\nc: [*a, *a]\n', 'e.yaml');
  const [, second] = root.list('c');
  expect(second?.number('b')).toBe(7);
  expect(second?.get('b')?.path).toEqual(['c', 1, 'b']);
  expect(second?.get('b')?.range).toEqual(root.get('a', 'b')?.range);
});

it('reads as Envoy does: either name of a field, one for a list, texts for numbers and booleans', () => {
  const root = readConfig('{"fooBar": "true", "n": "12", "d": "0.5s", "e": "sanitize"}', 'e.json');
  expect([root.isTrue('foo_bar'), root.number('n'), root.seconds('d')]).toEqual([true, 12, 0.5]);
  expect([root.choice(['SANITIZE'], 'e'), root.choice(['A'], 'n')]).toEqual([
    'SANITIZE',
    undefined,
  ]);
  expect(root.list('n').map((one) => one.number())).toEqual([12]);
});

it('reads JSON with tabs and byte order mark, and looks through nulls', () => {
  const root = readConfig(
    '\uFEFF{\n\t"admin": null,\n\t"node": {\n\t\t"id": "a"\n\t}\n}\n',
    'e.json',
  );
  expect(root.get('admin')).toBeUndefined();
  expect(root.text('node', 'id')).toBe('a');
});

describe('what is fixed', () => {
  it('keeps comments, form and line ends', () => {
    const text = `admin: # who may ask
  address: { socket_address: { address: 0.0.0.0, port_value: 1 } } # all\r
  # the end
`;
    expect(fix(text)).toBe(text.replace('0.0.0.0', '127.0.0.1'));
  });

  it('adds fields after a line, with its comment, and maps around them', () => {
    const manager = (...lines: string[]): string =>
      `static_resources:
  listeners:
    - name: a
      filter_chains:
        - filters:
            - typed_config:
                stat_prefix: a # of numbers
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
${lines.map((line) => `                ${line}\n`).join('')}`;
    const rules =
      'http_filters: [{ name: rbac, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, rules: {} } }]';
    const fixed = fix(manager(rules));
    expect(fixed).toContain(`a # of numbers
                normalize_path: true
                merge_slashes: true
                path_with_escaped_slashes_action: REJECT_REQUEST
                common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }
                "@type"`);
    expect(lintEnvoy([{ file: 'e', text: fixed }]).findings).toEqual([]);
    expect(fix(fixed)).toBe(fixed);
  });

  it('adds once what aliases stand for', () => {
    const fixed = fix(`x: &s { resource_api_version: V3, ads: {} }
static_resources:
  secrets: [{ sds_config: *s }, { sds_config: *s }]
`);
    expect(fixed.match(/initial_fetch_timeout: 0s/gu)).toHaveLength(1);
  });

  it('writes JSON into JSON', () => {
    const fixed = fix('{"static_resources": {"secrets": [{"sdsConfig": {"ads": {}}}]}}');
    const value: unknown = JSON.parse(fixed);
    expect(value).toMatchObject({
      static_resources: {
        secrets: [{ sdsConfig: { initial_fetch_timeout: '0s', resource_api_version: 'V3' } }],
      },
    });
  });
});
