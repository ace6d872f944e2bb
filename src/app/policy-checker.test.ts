import { expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { policyFiles, policyText } from '../../test/fakes/open-policies.ts';
import { testPolicies } from '../../test/fakes/sync-world.ts';
import { PolicyChecker } from './policy-checker.ts';

it('checks on its thread, one set after the other, and begins another thread after a rest', async () => {
  const clock = new FakeClock();
  const checker = new PolicyChecker(clock);
  onTestFinished(() => checker.close());
  const texts = { 'a.yaml': policyText('a', '/a'), 'b.yaml': policyText('b', '/b') };
  const before = testPolicies(1, { 'a.yaml': texts['a.yaml'], 'c.yaml': 'x' });
  const [good, bad] = await Promise.all([
    checker.check(policyFiles(texts), before, false),
    checker.check(policyFiles({ 'a.yaml': 'kind: Other' }), undefined, false),
  ]);
  expect(good).toMatchObject({
    policies: 2,
    rules: 2,
    complaints: [],
    changes: ['+ b.yaml', '- c.yaml'],
  });
  expect(good.digest).toMatch(/^[0-9a-f]{64}$/u);
  expect(bad.complaints[0]).toMatch(/^a\.yaml:1:1: /u);
  await clock.advanceAsync(600_000);
  const again = await checker.check(policyFiles(texts), undefined, false);
  expect([again.digest, again.changes]).toEqual([good.digest, ['+ a.yaml', '+ b.yaml']]);
});

it('tells what is decided otherwise, where that is asked', async () => {
  const checker = new PolicyChecker(new FakeClock());
  onTestFinished(() => checker.close());
  const before = testPolicies(1, { 'a.yaml': policyText('a', '/a') });
  const changed = policyFiles({ 'a.yaml': policyText('a', '/b') });
  const { changes } = await checker.check(changed, before, true);
  expect(changes).toEqual([
    '~ a.yaml',
    expect.stringMatching(/^\+ widened at .*: no rule -> a\/r, as in .*GET \/b/u),
    expect.stringMatching(/^- narrowed at .*: a\/r -> no rule, as in .*GET \/a/u),
  ]);
  const unreadable = testPolicies(1, { 'a.yaml': 'kind: Other' });
  expect((await checker.check(changed, unreadable, true)).changes[1]).toMatch(/cannot be told/u);
});
