import { expect, it, onTestFinished } from 'vitest';
import { FakeClock, settle } from '../../test/fakes/fake-clock.ts';
import { policyText } from '../../test/fakes/open-policies.ts';
import { testPolicies } from '../../test/fakes/sync-world.ts';
import { eventually } from '../../test/programs/eventually.ts';
import { createMetrics, silentLog } from '../ops/index.ts';
import { type PolicyTaker, type PolicyTexts, TrustplaneError } from '../spiffe/index.ts';
import { followDelivered, watchTaker } from './follow-delivered.ts';
import { startPolicyCompiler } from './policy-compiler.ts';
import type { PolicyCompiler } from './policy-source.ts';

function open(compiler: PolicyCompiler = startPolicyCompiler()) {
  const listeners = new Set<() => void>();
  let current: PolicyTexts | undefined;
  onTestFinished(() => compiler.close());
  const source = followDelivered({
    delivered: {
      current: () => current,
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    compiler,
    log: silentLog,
    metrics: createMetrics(),
  });
  onTestFinished(() => source.close());
  const deliver = (policies: PolicyTexts): void => {
    current = policies;
    for (const listener of listeners) listener();
  };
  return { source, deliver };
}

const one = testPolicies(1, { 'a.yaml': policyText('a', '/one') });
const two = testPolicies(2, { 'a.yaml': policyText('a', '/two') });
/** As an agent of an older release reads what it does not know. */
const unknown = testPolicies(3, {
  'a.yaml': policyText('a', '/x').replace('rules:', 'future: 1\nrules:'),
});

it('compiles what is delivered, and of several versions the last', async () => {
  const { source, deliver } = open();
  expect(source.current()).toBeUndefined();
  deliver(one);
  deliver(two);
  deliver(testPolicies(4, { 'a.yaml': policyText('a', '/four') }));
  await eventually('the last', () => source.version() === '4'.repeat(64) || undefined);
  expect(source.current()?.rules).toBe(1);
  expect(source.fault()).toBeUndefined();
});

it.each([
  [1, 'is in force'],
  [2, 'is refused'],
])('compiles a version once more when the thread ended: %i times, it %s', async (ends, outcome) => {
  const real = startPolicyCompiler();
  let left = ends;
  const { source, deliver } = open({
    compile: async (sources) => {
      if (left-- > 0) throw new TrustplaneError('ERR_INTERNAL', 'the thread ended');
      return await real.compile(sources);
    },
    close: () => real.close(),
  });
  deliver(one);
  await eventually('the end', () => source.version() ?? source.refused());
  expect(source.version() === undefined ? 'is refused' : 'is in force').toBe(outcome);
});

it('keeps the last good version when one cannot be taken, and says which and why', async () => {
  const { source, deliver } = open();
  deliver(one);
  await eventually('the first', () => source.version() === one.hash || undefined);
  const good = source.current();
  deliver(unknown);
  await eventually('the refusal', () => source.refused() === unknown.hash || undefined);
  expect(source.fault()).toMatch(/a\.yaml:6:1: future: unknown key/u);
  expect([source.current(), source.version()]).toEqual([good, one.hash]);
  deliver(two);
  await eventually('the next', () => source.version() === two.hash || undefined);
  expect([source.fault(), source.refused()]).toEqual([undefined, undefined]);
  deliver({ ...one, hash: 'a'.repeat(64), files: [{ ...file(one), bytes: Uint8Array.of(0xff) }] });
  await eventually('the refusal', () => source.fault());
  expect(source.fault()).toBe('a.yaml: is not UTF-8');
});

it('tells who decides by which version since when, once for each change', async () => {
  const { source, deliver } = open();
  const clock = new FakeClock();
  const told: PolicyTaker[] = [];
  const listeners = new Set<() => void>();
  let inForce: string | undefined;
  const stop = watchTaker(
    'authz',
    source,
    {
      inForce: () => inForce,
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    },
    clock,
    (taker) => told.push(taker),
  );
  onTestFinished(stop);
  const decide = (): void => {
    inForce = source.current()?.digest;
    for (const listener of listeners) listener();
  };
  expect(told).toEqual([expect.objectContaining({ name: 'authz', hash: undefined })]);
  deliver(one);
  await eventually('the first', () => source.version() === one.hash || undefined);
  expect(told).toHaveLength(1);
  decide();
  decide();
  expect(told.slice(1)).toEqual([
    expect.objectContaining({ hash: one.hash, digest: inForce, since: clock.now() }),
  ]);
  clock.advance(1_000);
  // Comments are others, and nothing else: what decides has nothing to do.
  deliver({ ...one, hash: 'b'.repeat(64), files: [{ ...file(one), bytes: commented() }] });
  await eventually('the comment', () => source.version() === 'b'.repeat(64) || undefined);
  await settle();
  expect(told.at(-1)).toMatchObject({ hash: 'b'.repeat(64), since: clock.now() });
  deliver(unknown);
  await eventually('the refusal', () => source.refused());
  expect(told.at(-1)).toMatchObject({ hash: 'b'.repeat(64), refused: unknown.hash });
});

function file({ files }: PolicyTexts) {
  const [first] = files;
  if (first === undefined) throw new Error('there is none');
  return first;
}

function commented(): Uint8Array {
  return Buffer.concat([Buffer.from('# another\n'), file(one).bytes]);
}
