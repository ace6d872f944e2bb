import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { run } from './program.ts';

async function runCaptured(...args: readonly string[]) {
  const printed = { out: '', err: '' };
  const io = {
    out: (text: string) => void (printed.out += text),
    err: (text: string) => void (printed.err += text),
    env: {},
    uid: 0,
  };
  return { code: await run(io, ['envoy', 'bootstrap', ...args]), ...printed };
}

const ID = 'spiffe://example.org/server';

it.each(['rbac-sidecar', 'rbac-and-check-sidecar', 'rbac-tcp'])(
  'envoy/%s.yaml is what the command in it prints',
  async (name) => {
    const file = path.join(import.meta.dirname, '..', '..', 'envoy', `${name}.yaml`);
    const shipped = readFileSync(file, 'utf8');
    const command =
      shipped.match(/^# {3}trustplane envoy bootstrap \\\n((?:# {5}.*\n)+)/mu)?.[1] ?? '';
    const words = command
      .replaceAll(/^#|\\$/gmu, '')
      .split(/\s+/u)
      .filter((word) => word !== '');
    expect(words).toContain('--agent-socket');
    expect(await runCaptured(...words)).toEqual({ code: 0, out: shipped, err: '' });
  },
);

it('prints the same as YAML and as JSON', async () => {
  const yaml = await runCaptured('--spiffe-id', ID, '--ads');
  const json = await runCaptured('--spiffe-id', ID, '--ads', '-o', 'json');
  expect(parse(yaml.out)).toEqual(JSON.parse(json.out));
});

it('quotes in its header what a shell would take apart', async () => {
  const { out } = await runCaptured('--spiffe-id', ID, '--policy-name', "it's $HOME", '--tcp');
  expect(out).toContain("#     --policy-name 'it'\\''s $HOME'");
});

it('says what is wrong, and prints nothing else', async () => {
  expect(await runCaptured('--spiffe-id', ID, '--authz', 'none')).toEqual({
    code: 2,
    out: '',
    err: expect.stringContaining('--caller-id'),
  });
  expect((await runCaptured()).err).toContain('--spiffe-id');
});
