import type { PolicySource } from './policy-source.ts';

/** Policies that are still being opened: there are none until then, and nothing else waits for them. */
export function laterPolicies(opening: Promise<PolicySource>): PolicySource {
  const listeners = new Set<() => void>();
  let source: PolicySource | undefined;
  const tell = (): void => {
    for (const listener of listeners) listener();
  };
  const take = async (): Promise<void> => {
    source = await opening;
    source.watch(tell);
    tell();
  };
  // Whoever opens them is told of failures.
  take().catch(() => {});
  return {
    current: () => source?.current(),
    fault: () => source?.fault(),
    watch(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
