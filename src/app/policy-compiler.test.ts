import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openPlan } from '../authz/index.ts';
import { messageOf } from '../spiffe/index.ts';
import { startPolicyCompiler } from './policy-compiler.ts';
import { PolicyLoader } from './policy-loader.ts';
import type { PolicyCompiler, PolicyText } from './policy-source.ts';
import type { RbacCompiler, RbacOrder } from './rbac-export.ts';

const policy = (name: string, path = '/x', more = '') => `apiVersion: trustplane/v1
kind: Policy
metadata: { name: ${name} }
service: spiffe://prod.example/api
rules:
  - { id: read, from: authenticated, allow: [GET ${path}] }
${more}`;
const text = (name: string, content = policy(name)): PolicyText => ({
  name: `${name}.yaml`,
  text: content,
});

function start(): PolicyCompiler & RbacCompiler {
  const compiler = startPolicyCompiler();
  onTestFinished(() => compiler.close());
  return compiler;
}

it('compiles texts and files on another thread, the same policies to the same digest', async () => {
  const compiler = start();
  const folder = mkdtempSync(join(tmpdir(), 'trustplane-compiler-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const files = ['b', 'a'].map((name) => {
    writeFileSync(join(folder, name), `# ${name}\n${policy(name)}`);
    return join(folder, name);
  });
  const [one, other] = await Promise.all([
    compiler.compile({ texts: [text('a'), text('b')] }),
    compiler.compile({ files }),
  ]);
  expect(other.digest).toBe(one.digest);
  expect(one.rules).toBe(2);
  expect(openPlan(other.image).rules.at(1).policy.name).toBe('b');
  expect(one.image.bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
});

it('answers each set in its order, also after one that is refused', async () => {
  const compiler = start();
  const bad = compiler.compile({ texts: [text('a', policy('a', 'x')), text('b', 'a: [')] });
  const good = compiler.compile({ texts: [text('a')] });
  await expect(bad).rejects.toMatchObject({
    code: 'ERR_POLICY',
    message: expect.stringMatching(/^a\.yaml:6:\d+: rules\.0\.allow.*\nb\.yaml:1:\d+: /su),
  });
  expect((await good).rules).toBe(1);
});

it('ends what waits when it is closed, and begins anew with the next set', async () => {
  const compiler = start();
  const lost = compiler.compile({ texts: [text('a')] });
  const closed = compiler.close();
  await expect(lost).rejects.toMatchObject({ code: 'ERR_INTERNAL' });
  await closed;
  expect((await compiler.compile({ texts: [text('a')] })).rules).toBe(1);
});

const complaintsOf = async (texts: readonly PolicyText[]): Promise<string> =>
  await new PolicyLoader().load({ texts }).then(() => 'none', messageOf);

it('names the places of a name that two policies have', async () => {
  expect(await complaintsOf([text('a'), { name: 'b.yaml', text: policy('a') }])).toBe(
    'b.yaml:3:19: metadata.name: "a" is the name of the policy at a.yaml:3:19 too',
  );
});

it('says where an assertion stands that does not hold, also of a file it remembers', async () => {
  const asserting = policy(
    'a',
    '/x',
    'assert:\n  - never: { from: ["spiffe://prod.example/**"], to: ["/x"] }\n',
  );
  const loader = new PolicyLoader();
  const texts = [text('a', asserting)];
  for (let round = 0; round < 2; round++)
    await expect(loader.load({ texts })).rejects.toThrow(/^a\.yaml:8:\d+: assert\.0/u);
});

it('names the first hundred complaints', async () => {
  const rules = Array.from({ length: 150 }, (_, at) => `  - { id: r${at} }`).join('\n');
  const lines = (await complaintsOf([text('a', `${policy('a')}${rules}\n`)])).split('\n');
  expect(lines).toHaveLength(101);
  expect(lines.at(-1)).toMatch(/^and \d+ more complaints$/u);
});

it('reads no more than a bounded number of bytes in all', async () => {
  const large = `# ${'x'.repeat(1_000_000)}\n`;
  const texts = Array.from({ length: 40 }, (_, at) => text(`p${at}`, large + policy(`p${at}`)));
  expect(await complaintsOf(texts)).toBe(
    'p33.yaml: with it the policies have over 33554432 bytes, the most that are read',
  );
});

describe('rules for Envoy', () => {
  const order: Omit<RbacOrder, 'digest'> = {
    name: 'trustplane.rbac',
    service: { spiffeId: 'spiffe://prod.example/api', contextExtension: undefined },
    kind: 'rbac',
    layout: 'nested',
    terms: {
      trusted: [{ trustDomain: 'prod.example', accept: ['spiffe://prod.example/ns/**'] }],
      revokedIds: [],
      revokedSerials: [],
      isBlind: false,
      tokenHeaders: [],
      proxies: [],
      jwt: { namespace: 'n', payloadKey: 'k' },
    },
    perRuleStats: false,
  };

  it('are compiled of the policies of a digest, the same to the same bytes', async () => {
    const compiler = start();
    const { digest } = await compiler.compile({ texts: [text('a')] });
    const one = await compiler.exportRbac({ ...order, digest });
    expect(Buffer.from(one.bytes).includes('/x')).toBe(true);
    expect(Buffer.from(one.bytes).includes('envoy.extensions.filters.http.rbac.v3.RBAC')).toBe(
      true,
    );
    expect(one.shares).toEqual({ envoy: 1, check: 0, both: 0 });
    const other = await compiler.compile({ texts: [text('a', policy('a', '/y'))] });
    const [first, second, network] = await Promise.all([
      compiler.exportRbac({ ...order, digest }),
      compiler.exportRbac({ ...order, digest: other.digest }),
      compiler.exportRbac({ ...order, digest, kind: 'network-rbac' }),
    ]);
    expect(first.version).toBe(one.version);
    expect(second.version).not.toBe(one.version);
    expect(Buffer.from(second.bytes).includes('/y')).toBe(true);
    expect(Buffer.from(network.bytes).includes('filters.network.rbac.v3.RBAC')).toBe(true);
  });

  it('are not of policies that are forgotten, and are where a thread took the place of another', async () => {
    const compiler = start();
    const { digest } = await compiler.compile({ texts: [text('a')] });
    await compiler.close();
    expect(await compiler.exportRbac({ ...order, digest })).toMatchObject({ left: [] });
    for (const at of ['1', '2', '3', '4'])
      await compiler.compile({ texts: [text('a', policy('a', `/${at}`))] });
    await expect(compiler.exportRbac({ ...order, digest: 'none' })).rejects.toMatchObject({
      code: 'ERR_POLICY',
    });
  });

  it('name the rule that a refusal is about', async () => {
    const compiler = start();
    const { digest } = await compiler.compile({ texts: [text('a', policy('a', '/pay/a*b/x'))] });
    const { bytes } = await compiler.exportRbac({ ...order, digest });
    const regex = /\/pay\/a[^\n"]*?b\/x/u.exec(Buffer.from(bytes).toString('latin1'))?.[0];
    const refusal = `regex '${regex}' RE2 program size of 200 > max program size of 100`;
    expect(await compiler.blame({ ...order, digest }, refusal)).toEqual(['a/read']);
    expect(await compiler.blame({ ...order, digest }, 'something else')).toEqual([]);
  });
});
