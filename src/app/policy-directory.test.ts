import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { eventually } from '../../test/programs/eventually.ts';
import { openPlan } from '../authz/index.ts';
import { createLog, createMetrics, systemClock } from '../ops/index.ts';
import { type Clock, TrustplaneError } from '../spiffe/index.ts';
import { followPolicies, type PolicyDirectory } from './policy-directory.ts';
import { PolicyLoader } from './policy-loader.ts';
import type { PolicyCompiler } from './policy-source.ts';

let directory: string;
let lines: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trustplane-policies-'));
  lines = [];
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
});

const policy = (name: string, path: string) => `apiVersion: trustplane/v1
kind: Policy
metadata: { name: ${name} }
service: spiffe://prod.example/api
rules:
  - { id: read, from: authenticated, allow: [GET ${path}] }
`;

function save(file: string, text: string): void {
  writeFileSync(join(directory, `.${file}.new`), text);
  renameSync(join(directory, `.${file}.new`), join(directory, file));
}

async function open(
  compiler?: PolicyCompiler,
  clock: Clock = systemClock,
): Promise<PolicyDirectory> {
  const log = createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } });
  const policies = await followPolicies({
    directory,
    clock,
    log,
    metrics: createMetrics(),
    ...(compiler && { compiler }),
  });
  onTestFinished(() => policies.close());
  return policies;
}

function pathsOf(policies: PolicyDirectory): (string | undefined)[] {
  const set = policies.current();
  const rules = set === undefined ? undefined : openPlan(set.image).rules;
  return Array.from(
    { length: rules?.length ?? 0 },
    (_, at) => rules?.at(at).operations[0]?.paths?.[0]?.text,
  );
}

describe('a directory of policies', () => {
  it('is in force at once when it opens, and soon after a file was saved', async () => {
    save('a.yaml', policy('a', '/a'));
    save('b.yml', policy('b', '/b'));
    writeFileSync(join(directory, 'README.md'), 'no policy');
    const policies = await open();
    expect(pathsOf(policies)).toEqual(['/a', '/b']);
    save('a.yaml', policy('a', '/a2'));
    await eventually('the change', () => pathsOf(policies)?.includes('/a2'));
    rmSync(join(directory, 'b.yml'));
    await eventually('the change', () => pathsOf(policies)?.length === 1);
  });

  it('is compiled again, though nothing changed, when the thread ended', async () => {
    save('a.yaml', policy('a', '/a'));
    const loader = new PolicyLoader();
    let left = 2;
    const compiler: PolicyCompiler = {
      compile: async (sources) => {
        if (left-- > 0) throw new TrustplaneError('ERR_INTERNAL', 'the thread ended');
        return await loader.load(sources);
      },
      close: async () => {},
    };
    // Long after the change.
    const clock: Clock = {
      now: () => systemClock.now() + 60_000,
      setTimer: (delayMs, fire) => systemClock.setTimer(delayMs / 100, fire),
    };
    const policies = await open(compiler, clock);
    expect(policies.fault()).toBe('the thread ended');
    await eventually('the policies', () => policies.current());
    expect(policies.fault()).toBeUndefined();
  });

  it('stays in force when a change has a mistake, which is named once', async () => {
    save('a.yaml', policy('a', '/a'));
    const policies = await open();
    const digest = policies.current()?.digest;
    save('a.yaml', policy('a', 'a'));
    await eventually('the change', () => policies.fault());
    expect(policies.fault()).toContain(`${directory}/a.yaml:6:`);
    expect(policies.current()?.digest).toBe(digest);
    save('a.yaml', `${policy('a', 'a')}# the same\n`);
    save('b.yaml', policy('b', '/b'));
    save('a.yaml', policy('a', '/a3'));
    await eventually('the change', () => pathsOf(policies)?.includes('/a3'));
    expect(policies.fault()).toBeUndefined();
    expect(lines.filter((line) => line.includes('policies are refused'))).toHaveLength(1);
  });

  it('denies everything while it is not there, and is found when it is', async () => {
    rmSync(directory, { recursive: true });
    const policies = await open();
    expect(policies.current()).toBeUndefined();
    expect(policies.fault()).toContain(directory);
    mkdirSync(directory);
    save('a.yaml', policy('a', '/a'));
    await eventually('the change', () => policies.current());
  });

  it('tells its listeners, once for each change', async () => {
    save('a.yaml', policy('a', '/a'));
    const policies = await open();
    const told: (string | undefined)[] = [];
    const stop = policies.watch(() => told.push(policies.current()?.digest));
    save('a.yaml', policy('a', '/a2'));
    await eventually('the change', () => told.length > 0);
    expect(told).toEqual([policies.current()?.digest]);
    stop();
    save('a.yaml', policy('a', '/a3'));
    await eventually('the change', () => pathsOf(policies).includes('/a3'));
    expect(told).toHaveLength(1);
  });

  it('follows files that are links into a directory that is replaced, as Kubernetes has it', async () => {
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(directory, `.${version}`));
      writeFileSync(join(directory, `.${version}`, 'a.yaml'), policy('a', `/${version}`));
    }
    symlinkSync('.v1', join(directory, '..data'));
    symlinkSync('..data/a.yaml', join(directory, 'a.yaml'));
    const policies = await open();
    expect(pathsOf(policies)).toEqual(['/v1']);
    symlinkSync('.v2', join(directory, '..new'));
    renameSync(join(directory, '..new'), join(directory, '..data'));
    await eventually('the change', () => pathsOf(policies).includes('/v2'));
  });

  it('follows a directory that is a link, and goes on where it leads then', async () => {
    const real = directory;
    for (const version of ['v1', 'v2']) {
      mkdirSync(join(real, version));
      writeFileSync(join(real, version, 'a.yaml'), policy('a', `/${version}`));
    }
    directory = join(real, 'current');
    onTestFinished(() => rmSync(real, { recursive: true, force: true }));
    symlinkSync('v1', directory);
    const policies = await open();
    symlinkSync('v2', join(real, 'next'));
    renameSync(join(real, 'next'), directory);
    await eventually('the change', () => pathsOf(policies).includes('/v2'));
    save('a.yaml', policy('a', '/v3'));
    await eventually('the change', () => pathsOf(policies).includes('/v3'));
    expect(policies.fault()).toBeUndefined();
  });

  it('takes nothing that was read while it changed', async () => {
    save('a.yaml', policy('a', '/a'));
    const compiled: string[] = [];
    const loader = new PolicyLoader();
    const compiler: PolicyCompiler = {
      async compile(sources) {
        const set = await loader.load(sources);
        compiled.push(set.digest);
        if (compiled.length === 1) save('a.yaml', policy('a', '/other'));
        return set;
      },
      close: async () => {},
    };
    const policies = await open(compiler);
    expect(pathsOf(policies)).toEqual(['/other']);
    // A file that changed within a tick of the file system's clock is read once more.
    expect(compiled.length).toBeGreaterThan(1);
    expect(lines.filter((line) => line.includes('policies are in force'))).toHaveLength(1);
  });
});
