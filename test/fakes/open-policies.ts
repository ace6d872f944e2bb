import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import { createMetrics, type Log, silentLog } from '../../src/ops/index.ts';
import { type PolicyDraft, PolicyRegistry } from '../../src/policies/index.ts';
import { type Clock, type PolicyFile, policyFile } from '../../src/spiffe/index.ts';
import { createMemoryStore, type Store } from '../../src/store/index.ts';
import { FakeClock } from './fake-clock.ts';

/** Files by name and text. */
export function policyFiles(texts: Readonly<Record<string, string>>): readonly PolicyFile[] {
  return Object.entries(texts).map(([name, text]) => policyFile(name, Buffer.from(text)));
}

/** A policy that lets the caller read one path. */
export function policyText(name: string, path: string): string {
  return [
    '# kept as it is',
    'apiVersion: trustplane/v1',
    'kind: Policy',
    `metadata: { name: ${name} }`,
    'service: spiffe://example.org/server',
    'rules:',
    `  - { id: r, from: [spiffe://example.org/client], allow: [GET ${path}] }`,
    '',
  ].join('\n');
}

export function draftOf(
  texts: Readonly<Record<string, string>>,
  expected: number,
  more: Partial<PolicyDraft> = {},
): PolicyDraft {
  return {
    files: policyFiles(texts),
    author: { kind: 'user', uid: 1000, name: 'ada' },
    claimedAuthor: '',
    reason: 'a reason',
    digest: 'd'.repeat(64),
    rules: 1,
    skippedTests: false,
    expected,
    ...more,
  };
}

/** A registry over a store; closed when the test ends. */
export async function openPolicyRegistry(
  options: { readonly store?: Store; readonly clock?: Clock; readonly log?: Log } = {},
) {
  const clock = options.clock ?? new FakeClock();
  const store = options.store ?? createMemoryStore({ clock });
  const policies = await PolicyRegistry.load({
    bucket: store.bucket('policies'),
    clock,
    randomBytes,
    log: options.log ?? silentLog,
    metrics: createMetrics(),
  });
  onTestFinished(() => policies.close());
  return { policies, store, clock };
}
