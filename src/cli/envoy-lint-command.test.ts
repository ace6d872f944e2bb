import {
  lstatSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { run } from './program.ts';

const sound = path.join(import.meta.dirname, '../../envoy/authorized-sidecar.yaml');
const text = readFileSync(sound, 'utf8');
const folder = mkdtempSync(path.join(tmpdir(), 'trustplane-envoy-lint-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function lint(...args: readonly string[]) {
  const said = { out: '', err: '' };
  const io = {
    out: (part: string) => void (said.out += part),
    err: (part: string) => void (said.err += part),
    env: {},
    uid: 0,
  };
  return { code: await run(io, ['envoy', 'lint', ...args]), ...said };
}

function write(name: string, content: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
}

it('is silent about what is shipped', async () => {
  expect(await lint('--strict', sound)).toEqual({
    code: 0,
    out: 'errors 0, warnings 0, infos 0\n',
    err: '',
  });
});

it('fails for errors, and with --strict for warnings', async () => {
  const bad = write(
    'bad.yaml',
    text.replace('failure_mode_allow: false', 'failure_mode_allow: true'),
  );
  const found = await lint(bad);
  expect(found.code).toBe(1);
  expect(found.out).toMatch(
    /bad\.yaml:\d+:43: error: failure-mode-allow: static_resources\..*\.failure_mode_allow: every request is let in .*; set failure_mode_allow: false \(--fix\)\nerrors 1, warnings 0, infos 0\n$/u,
  );
  const meek = write(
    'meek.yaml',
    text.replace('clear_route_cache: false', 'clear_route_cache: true'),
  );
  expect((await lint(meek)).code).toBe(0);
  expect((await lint('--strict', meek)).code).toBe(1);
});

it('says the same as JSON', async () => {
  const bad = write('json.yaml', text.replace('merge_slashes: true', 'merge_slashes: false'));
  const { code, out } = await lint(bad, '-o', 'json');
  expect(code).toBe(1);
  expect(JSON.parse(out)).toMatchObject({
    errors: 1,
    findings: [{ code: 'slashes-not-merged', severity: 'error', file: bad, isFixable: true }],
    unknown: [],
  });
});

it('sets right what needs no thought, in place: mode, link and comments stay', async () => {
  const bad = write(
    'fix.yaml',
    text
      .replace('failure_mode_allow: false', 'failure_mode_allow: true')
      .replace('address: 127.0.0.1, port_value: 9901', 'address: 0.0.0.0, port_value: 9901'),
  );
  const link = path.join(folder, 'link.yaml');
  symlinkSync(bad, link);
  const { mode } = statSync(bad);
  expect(await lint('--fix', link)).toEqual({
    code: 0,
    out: 'errors 0, warnings 0, infos 0, changes 2\n',
    err: '',
  });
  expect(readFileSync(bad, 'utf8')).toBe(text);
  expect([lstatSync(link).isSymbolicLink(), statSync(bad).mode]).toEqual([true, mode]);
});

it('explains a code', async () => {
  expect((await lint('--explain', 'admin-exposed')).out).toMatch(/^admin-exposed \(error\)\n/u);
  const { code, err } = await lint('--explain', 'admin');
  expect([code, err]).toEqual([2, expect.stringContaining('no code is called "admin"; they are')]);
});

it.each([
  ['nothing', [], 'name files, or - for standard input'],
  ['standard input to be changed', ['--fix', '-'], '--fix needs a file'],
  ['standard input twice', ['-', '-'], 'standard input can be read once'],
  ['a file that is not there', ['/nowhere/envoy.yaml'], '/nowhere/envoy.yaml could not be read'],
  ['what is no configuration', [write('none.yaml', 'a: 1\n')], 'got a (ERR_ENVOY_CONFIG)'],
  ['what is no YAML', [write('torn.yaml', 'a: {')], '(ERR_YAML)'],
])('refuses %s', async (_what, args, message) => {
  const { code, err } = await lint(...args);
  expect(code).toBeGreaterThan(1);
  expect(err).toContain(message);
});

it('refuses bytes that are not UTF-8', async () => {
  const file = path.join(folder, 'bytes.yaml');
  writeFileSync(file, Buffer.from([0x61, 0xff, 0xfe]));
  expect(await lint(file)).toMatchObject({ code: 2, err: expect.stringContaining('is not UTF-8') });
});
