import { describe, expect, it } from 'vitest';
import { agentId, attestationOf, openAgents } from '../../test/fakes/open-agents.ts';
import { openRegistry } from '../../test/fakes/open-registry.ts';
import { testDraft, testEntry } from '../../test/fakes/test-entries.ts';
import { SpiffeId } from '../spiffe/index.ts';
import { ExplainKnowledge, explainLimits } from './explain-knowledge.ts';

const one = agentId('one');
const two = agentId('two');
const nobody = { selectors: ['unix:uid:1000'], spiffeId: undefined };

async function open() {
  const { registry, clock } = await openRegistry();
  const { agents, issue } = await openAgents({ clock });
  await agents.attest(attestationOf('one'), issue);
  await agents.attest(attestationOf('two'), issue);
  return { registry, clock, knowledge: new ExplainKnowledge({ entries: registry, agents }) };
}

describe('ExplainKnowledge', () => {
  it('lets no agent keep others from asking, nor all of them administrators', async () => {
    const { knowledge } = await open();
    const ask = (name: string) => knowledge.findFor(agentId(name), nobody);
    const busyOnes = (results: readonly PromiseSettledResult<unknown>[]) =>
      results.filter(({ status }) => status === 'rejected').length;
    const flood = Array.from({ length: 40 }, () => ask('one'));
    const other = ask('two');
    expect(busyOnes(await Promise.allSettled(flood))).toBe(38);
    await expect(other).resolves.toEqual([]);
    const crowd = Array.from({ length: 40 }, (_, at) => ask(`agent-${at}`));
    const admin = knowledge.find({ ...nobody, agentId: one });
    expect(busyOnes(await Promise.allSettled(crowd))).toBe(28);
    await expect(admin).resolves.toEqual([]);
    await expect(ask('one')).resolves.toEqual([]);
  });

  it('tells an agent nothing of entries below others, whatever it asks', async () => {
    const { registry, knowledge } = await open();
    await registry.create(testDraft('own', undefined, { id: 'own', parentId: one.toString() }));
    await registry.create(
      testDraft('theirs', undefined, { id: 'theirs', parentId: two.toString() }),
    );
    await registry.create(
      testDraft('lost', undefined, { id: 'lost', parentId: 'spiffe://a.test/none' }),
    );
    await registry.create(testDraft('gone', undefined, { id: 'gone', parentId: two.toString() }));
    await registry.delete('gone');
    const idsOf = (found: readonly { readonly entry: { readonly id: string } }[]) =>
      found.map(({ entry }) => entry.id).sort();
    expect(idsOf(await knowledge.findFor(one, nobody))).toEqual(['own']);
    for (const name of ['theirs', 'lost', 'gone']) {
      const spiffeId = SpiffeId.parse(`spiffe://a.test/${name}`);
      expect(await knowledge.findFor(one, { ...nobody, spiffeId })).toEqual([]);
    }
    const all = await knowledge.find({ ...nobody, agentId: one });
    expect(idsOf(all)).toEqual(['gone', 'lost', 'own', 'theirs']);
  });

  it('remembers the last thousand entries that went', async () => {
    const { registry } = await open();
    for (let number = 0; number < 1_002; number++) {
      const { entry } = await registry.create(
        testDraft(`e${number}`, undefined, { id: `e${number}` }),
      );
      await registry.delete(entry.id);
    }
    expect(registry.departed()).toHaveLength(1_000);
    expect(registry.departed().at(-1)).toMatchObject({ how: 'deleted' });
  });

  it('looks through 100,000 entries in turns, and finds the nearest', async () => {
    const { agents } = await openAgents();
    const entries = Array.from({ length: 100_000 }, (_, number) =>
      testEntry(`e${number}`, [
        `unix:uid:${number + 2_000}`,
        'unix:gid:1',
        `k8s:ns:n${number % 50}`,
      ]),
    );
    entries.push(testEntry('near', ['unix:uid:1000', 'unix:gid:1']));
    const knowledge = new ExplainKnowledge({
      agents,
      entries: { all: () => entries, withPath: () => [], departed: () => [] },
    });
    let turns = 0;
    let isDone = false;
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    const found = await knowledge.find({ ...nobody, agentId: undefined });
    isDone = true;
    expect(found[0]?.entry.id).toBe('near');
    expect(found.length).toBeLessThanOrEqual(explainLimits.here + explainLimits.elsewhere);
    expect(turns).toBeGreaterThan(entries.length / explainLimits.turn / 2);
  });

  it('answers one at a time, and refuses when too many wait', async () => {
    const { knowledge } = await open();
    const asked = Array.from({ length: explainLimits.waiting + 1 }, () =>
      knowledge.find({ ...nobody, agentId: undefined }).then(
        () => 'answered',
        (error: { code: string }) => error.code,
      ),
    );
    const answers = await Promise.all(asked);
    expect(answers.filter((answer) => answer === 'answered')).toHaveLength(explainLimits.waiting);
    expect(answers.at(-1)).toBe('ERR_EXPLAIN_BUSY');
    expect(await knowledge.find({ ...nobody, agentId: undefined })).toEqual([]);
  });
});
