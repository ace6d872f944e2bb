import { describe, expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { testEntry } from '../../test/fakes/test-entries.ts';
import { parseSelector, type RegistrationEntry, SelectorSet } from '../spiffe/index.ts';
import { AgentEntitlements } from './agent-entitlements.ts';

const shown = SelectorSet.of(['unix:uid:1000', 'unix:gid:7'].map(parseSelector));

/** Facts that the test sets, and what follows them. */
function world(...first: readonly RegistrationEntry[]) {
  const clock = new FakeClock();
  const listeners = new Set<() => void>();
  const mapOf = (entries: readonly RegistrationEntry[]) =>
    new Map(entries.map((entry) => [entry.id, entry]));
  let entries = mapOf(first);
  let isComplete = false;
  const source = {
    get facts() {
      return { entries };
    },
    get isComplete() {
      return isComplete;
    },
    watchAll(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const entitlements = new AgentEntitlements(source, clock);
  let news = 0;
  entitlements.watch(() => news++);
  return {
    clock,
    entitlements,
    listeners,
    news: () => news,
    matched: () => entitlements.match(shown).map(({ id }) => id),
    tell(...now: readonly RegistrationEntry[]) {
      entries = mapOf(now);
      isComplete = true;
      for (const listener of listeners) listener();
    },
  };
}

describe('the entitlements of an agent', () => {
  it('are those whose selectors the workload shows, oldest first', () => {
    const { matched } = world(
      testEntry('young', ['unix:gid:7'], { createdAt: 2_000 }),
      testEntry('other', ['unix:uid:1']),
      testEntry('old', ['unix:uid:1000', 'unix:gid:7'], { createdAt: 1_000 }),
      testEntry('both', ['unix:uid:1000'], { createdAt: 2_000 }),
    );
    expect(matched()).toEqual(['old', 'both', 'young']);
  });

  it('follow what is told, and tell of news alone', () => {
    const web = testEntry('web');
    const { matched, entitlements, tell, news } = world(web);
    expect(entitlements.isComplete()).toBe(false);
    tell(web);
    expect(entitlements.isComplete()).toBe(true);
    expect(news()).toBe(1);
    tell(web);
    expect(news()).toBe(1);
    tell(testEntry('web', ['unix:uid:1'], { revisionNumber: 1 }), testEntry('api'));
    expect(news()).toBe(2);
    expect(matched()).toEqual(['api']);
    tell();
    expect(matched()).toEqual([]);
    expect(entitlements.get('api')).toBeUndefined();
  });

  it('leave out what has expired, and what is not for workloads', () => {
    const clock = new FakeClock();
    const brief = testEntry('brief', undefined, {
      expiresAtSeconds: Math.floor(clock.now() / 1_000) + 60,
    });
    const stored = testEntry('stored', ['k8s:ns:a'], { storeSvid: true });
    const { matched, entitlements, clock: now } = world(brief, stored);
    expect(matched()).toEqual(['brief']);
    expect(entitlements.get('stored')?.id).toBe('stored');
    expect(entitlements.match(SelectorSet.of([parseSelector('k8s:ns:a')]))).toEqual([]);
    now.advance(60_000);
    expect(matched()).toEqual([]);
    expect(entitlements.get('brief')).toBeUndefined();
  });

  it('follow nothing once closed', () => {
    const { entitlements, listeners } = world();
    entitlements.close();
    expect(listeners.size).toBe(0);
  });
});
