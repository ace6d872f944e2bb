import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it, onTestFinished } from 'vitest';
import { formatEntryDocument, parseDocuments } from '../../src/apply/index.ts';
import { processIo } from '../../src/cli/io.ts';
import { loadDocuments } from '../../src/cli/load-documents.ts';
import type { EntryDraft } from '../../src/entries/index.ts';
import { createMetrics, silentLog } from '../../src/ops/index.ts';
import {
  messageOf,
  parseSelector,
  SelectorSet,
  SpiffeId,
  type WorkloadListener,
} from '../../src/spiffe/index.ts';
import { createWorkloadSource } from '../../src/svid/index.ts';
import { badDocuments, goodDocuments } from '../fakes/bad-documents.ts';
import { settle } from '../fakes/fake-clock.ts';
import { FakeSvidIssuer } from '../fakes/fake-svid-issuer.ts';
import { FakeTrustMap } from '../fakes/fake-trust-map.ts';
import { openApply } from '../fakes/open-apply.ts';
import { testEntry, testTrustDomain } from '../fakes/test-entries.ts';
import '../fakes/property-seed.ts';

const rules = { trustDomain: testTrustDomain, now: Date.parse('2026-01-01T00:00:00Z') };
const hosts = ['one', 'two', 'three'];
const agentOf = (host: string): string => `spiffe://a.test/spire/agent/x/${host}`;

const selectors = fc.uniqueArray(fc.constantFrom('unix:uid:1', 'unix:uid:2', 'k8s:ns:x'), {
  minLength: 1,
  maxLength: 2,
});
const parents = [...hosts.map(agentOf), 'spiffe://a.test/alias', 'spiffe://a.test/w/a'];
const draft = fc.record({
  spiffeId: fc.constantFrom('a', 'b', 'c', 'd').map((name) => `spiffe://a.test/w/${name}`),
  parentId: fc.constantFrom(...parents),
  selectors: selectors.map((texts) => texts.map(parseSelector)),
  hint: fc.constantFrom('', 'one', 'a: b # "c"', "it's"),
  dnsNames: fc.constantFrom([], ['a.test'], ['*.b.test', 'c.test']),
  x509SvidTtlSeconds: fc.constantFrom(0, 90, 86_400),
  expiresAtSeconds: fc.constantFrom(0, 4_102_444_800),
  storeSvid: fc.constantFrom(false, false, false, false, true),
  admin: fc.boolean(),
});
const alias = fc.constantFrom('x:rack:1', 'x:rack:2').map((text) => ({
  spiffeId: 'spiffe://a.test/alias',
  parentId: 'spiffe://a.test/spire/server',
  selectors: [parseSelector(text)],
}));

function isValid(entry: EntryDraft): boolean {
  return entry.storeSvid !== true || new Set(entry.selectors.map(({ type }) => type)).size === 1;
}

const state = fc
  .uniqueArray(fc.oneof({ weight: 6, arbitrary: draft }, { weight: 1, arbitrary: alias }), {
    maxLength: 14,
    selector: (one) =>
      [one.parentId, one.spiffeId, ...one.selectors.map(({ value }) => value).sort()].join(' '),
  })
  .map((drafts) => drafts.filter(isValid));

function textOf(drafts: readonly EntryDraft[]): string {
  return drafts
    .map(({ spiffeId, parentId, selectors: some, ...more }) =>
      formatEntryDocument(
        testEntry(
          'x',
          some.map(({ type, value }) => `${type}:${value}`),
          {
            ...more,
            id: 'x',
            spiffeId,
            parentId,
          },
        ),
      ).replace('id: x\n', ''),
    )
    .join('---\n');
}

/** Workloads of three hosts that hold what they are entitled to. */
async function openWorld() {
  const server = await openApply();
  const { clock, registry } = server;
  const workloads: { readonly host: string; ids: readonly string[] }[] = [];
  for (const [index, host] of hosts.entries()) {
    const agentId = SpiffeId.parse(agentOf(host));
    const nodeSelectors = SelectorSet.of([parseSelector(`x:rack:${index}`)]);
    const entries = registry.authorizedEntries({ agentId, nodeSelectors });
    const issuer = new FakeSvidIssuer(clock, testTrustDomain, (id) => registry.get(id));
    const source = createWorkloadSource<{ readonly selectors: readonly string[] }>({
      clock,
      entitlements: {
        match: (shown) => entries.match(shown),
        get: (id) => entries.get(id),
        watch: (listener) => entries.watch(listener),
        isComplete: () => true,
      },
      issuer,
      trust: new FakeTrustMap(issuer.bundle()),
      metrics: createMetrics(),
      log: silentLog,
      random: () => 0.5,
      isAlive: () => true,
      attest: async (process) => SelectorSet.of(process.selectors.map(parseSelector)),
    });
    for (const shown of [
      ['unix:uid:1'],
      ['unix:uid:1'],
      ['unix:uid:2', 'k8s:ns:x'],
      ['unix:uid:9'],
    ]) {
      const workload = { host, ids: [] as readonly string[] };
      workloads.push(workload);
      const listener: WorkloadListener = {
        onUpdate: ({ identities }) => {
          workload.ids = [...new Set(identities.map(({ spiffeId }) => spiffeId.toString()))];
        },
        onGone: () => {},
      };
      source.attach({ selectors: shown }, listener);
    }
    server.workloads.addLocal(() => ({ agentId, nodeSelectors, groups: source.groups() }));
  }
  await settle();
  return { ...server, workloads };
}

const web = { value: 'spiffe://a.test/w/a', reason: 'why', by: 'who' } as const;

/** Suspended before every other three plans: what it is no identity of is none that is lost. */
async function toggleSuspension(
  suspensions: Awaited<ReturnType<typeof openApply>>['revocations']['suspensions'],
  index: number,
): Promise<void> {
  if (index % 6 === 2) await suspensions.suspend({ kind: 'spiffe-id', ...web });
  if (index % 6 === 5) await suspensions.lift({ kind: 'spiffe-id', ...web });
  for (let turn = 0; turn < 20; turn++) await settle();
}

function count(touched: readonly { readonly host: string }[]) {
  return { workloads: touched.length, agents: new Set(touched.map(({ host }) => host)).size };
}

describe('a plan', () => {
  it('makes what is desired, and its impact is what then happens', async () => {
    const world = await openWorld();
    const states = fc.sample(state, { numRuns: 50, seed: Number(process.env['SEED']) });
    let concerned = 0;
    for (const [index, drafts] of states.entries()) {
      await toggleSuspension(world.revocations.suspensions, index);
      const text = textOf(drafts);
      const options = { prune: true, allowRemovals: true };
      const { plan } = await world.apply(text, { ...options, dryRun: true });
      expect(plan.complaints).toEqual([]);
      const before = world.workloads.map(({ ids }) => ids);
      const { outcome } = await world.apply(text, { ...options, expectedPlan: plan.digest });
      expect(outcome?.failure).toBeUndefined();
      for (let turn = 0; turn < 20; turn++) await settle();
      const moved = world.workloads.map(({ host, ids }, index) => ({
        host,
        lost: before[index]?.filter((id) => !ids.includes(id)) ?? [],
        won: ids.filter((id) => !(before[index] ?? []).includes(id)),
      }));
      expect(plan.impact.losing).toEqual(count(moved.filter(({ lost }) => lost.length > 0)));
      expect(plan.impact.gaining).toEqual(count(moved.filter(({ won }) => won.length > 0)));
      concerned += plan.impact.losing.workloads;
      // Nothing is left to do, and what is exported is what is there.
      expect(world.registry.count()).toBe(drafts.length);
      const again = await world.apply(text, { ...options, dryRun: true });
      expect(again.plan.changes).toEqual([]);
      const exported = Array.from(world.registry.all(), formatEntryDocument).join('---\n');
      const back = await world.apply(exported, { ...options, dryRun: true });
      expect(back.plan).toMatchObject({ changes: [], complaints: [], unchanged: drafts.length });
    }
    expect(concerned).toBeGreaterThan(20);
  }, 60_000);
});

describe('documents', () => {
  it('that are anything at all are read or complained about', () => {
    const words = fc.constantFrom(
      '---\n',
      '...\n',
      'apiVersion: trustplane/v1\n',
      'kind: RegistrationEntry\n',
      'spiffeId: ',
      'spiffe://a.test/x\n',
      'selectors: [',
      'unix:uid:1]\n',
      'variables: {a: [b]}\n',
      '&a ',
      '*a\n',
      '%YAML 1.2\n',
      '- ',
      '{',
      '}',
      '"',
      '\n',
      '#',
      '  ',
      '!!binary ',
      '__proto__: 1\n',
    );
    const text = fc.array(fc.oneof(words, fc.string({ maxLength: 4 })), { maxLength: 25 });
    fc.assert(
      fc.property(text, (parts) => {
        const { complaints, entries } = parseDocuments(
          [{ name: 'x.yaml', text: parts.join('') }],
          rules,
        );
        for (const line of complaints) expect(line).toMatch(/^x\.yaml(?::\d+:\d+)?: /u);
        expect(entries.length).toBeLessThanOrEqual(1);
      }),
      { numRuns: 500 },
    );
  });

  it('of 40 different mistakes name each, with its place', async () => {
    const place = await mkdtemp(path.join(tmpdir(), 'trustplane-mistakes-'));
    onTestFinished(() => rm(place, { recursive: true }));
    const all = [
      ...badDocuments,
      ...Object.entries(goodDocuments).map(([file, content]) => ({ file, content })),
    ];
    for (const { file, content } of all) await writeFile(path.join(place, file), content);
    const client = { trustDomain: async () => testTrustDomain };
    const failure: unknown = await loadDocuments(processIo, client, [place], false).catch(
      (error) => error,
    );
    expect(failure).toMatchObject({ code: 'ERR_APPLY_DOCUMENT' });
    const lines = messageOf(failure).split('\n');
    expect(lines.pop()).toBe(`${badDocuments.length} mistakes; nothing was changed`);
    expect(lines).toHaveLength(badDocuments.length);
    for (const { file, line, column, what } of badDocuments) {
      const begin = `${place}/${file}:${line}:${column}: `;
      const told = lines.filter((one) => one.startsWith(begin));
      expect([begin, ...told]).toEqual([begin, expect.stringContaining(what)]);
    }
    expect(badDocuments.length).toBeGreaterThanOrEqual(40);
  });
});
