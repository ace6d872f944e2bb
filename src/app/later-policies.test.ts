import { describe, expect, it } from 'vitest';
import { settle } from '../../test/fakes/fake-clock.ts';
import { laterPolicies } from './later-policies.ts';
import type { PolicySource } from './policy-source.ts';

describe('policies that come later', () => {
  it('are none until they are there, then those', async () => {
    const { promise, resolve, reject } = Promise.withResolvers<PolicySource>();
    const listeners = new Set<() => void>();
    let fault = 'p.yaml:1:1: no';
    const later = laterPolicies(promise);
    let tells = 0;
    const stop = later.watch(() => void tells++);
    expect([later.current(), later.fault()]).toEqual([undefined, undefined]);
    resolve({
      current: () => undefined,
      fault: () => fault,
      watch: (listener) => {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    });
    reject(new Error('too late'));
    await settle();
    expect(tells).toBe(1);
    expect(later.fault()).toBe('p.yaml:1:1: no');
    fault = 'p.yaml:2:1: no';
    for (const listener of listeners) listener();
    expect(tells).toBe(2);
    stop();
    for (const listener of listeners) listener();
    expect([tells, later.fault()]).toEqual([2, 'p.yaml:2:1: no']);
  });

  it('stay none when they cannot be opened', async () => {
    const later = laterPolicies(Promise.reject(new Error('no')));
    await settle();
    expect(later.current()).toBeUndefined();
  });
});
