import { describe, expect, it } from 'vitest';
import { type Evidence, fingerprintOf } from './evidence.ts';
import { checkOthers, joinVerdicts } from './others-gate.ts';
import type { SeenServer } from './server-view.ts';

const certificate = Uint8Array.of(1);
const authority = fingerprintOf(certificate);
const awaited = { certificate, publishedAt: 1_000 };
const time = { now: 2_000, holdMs: 5_000 };

function server(evidence: Partial<Evidence> | undefined, more: Partial<SeenServer> = {}) {
  const record = {
    serverId: 'two',
    incarnation: 'x',
    startedAt: 0,
    renewedAt: 0,
    version: '1',
    address: undefined,
    place: undefined,
    signsWith: 'ab',
    policies: undefined,
    evidence: evidence && { known: [], behind: [], laggards: [], readers: [], ...evidence },
  };
  return { serverId: 'two', record, isLive: true, aheadMs: 0, ...more } satisfies SeenServer;
}

describe('checkOthers', () => {
  it('is open without others, and when the agents of each know the authority', () => {
    expect(checkOthers([], awaited, time)).toEqual({ isOpen: true, behind: [], opensAt: 1_000 });
    const verdict = checkOthers([server({ known: [authority] })], awaited, time);
    expect(verdict).toEqual({ isOpen: true, behind: [], opensAt: 1_000 });
  });

  it.each([
    [server(undefined), 'server two: has not said yet what its agents have'],
    [server({}, { record: undefined }), 'server two: has not said yet what its agents have'],
    [server({}), 'server two: has not said yet who has a bundle with it'],
    [
      server({}, { isLive: false }),
      'server two: is gone; its agents have not confirmed a bundle with it, and have 30 s',
    ],
    [
      server({ behind: [{ authority, count: 1, some: [{ who: 'agent', why: 'sleeps' }] }] }),
      'agent (server two): sleeps',
    ],
  ])('waits for a server whose agents may not know it', (other, expected) => {
    const { isOpen, behind, opensAt } = checkOthers([other], awaited, time);
    expect([isOpen, opensAt]).toEqual([false, undefined]);
    expect(behind.map(({ who, why }) => `${who}: ${why}`)).toEqual([expected]);
  });

  it('counts those that are not named', () => {
    const some = [{ who: 'agent', why: 'sleeps' }];
    const { behind } = checkOthers(
      [server({ behind: [{ authority, count: 9, some }] })],
      awaited,
      time,
    );
    expect(behind.at(-1)).toEqual({ who: 'server two', why: 'has 8 more agents without it' });
  });

  it('gives those who ask for bundles through another server their time', () => {
    const others = [server({ known: [authority], readers: ['bundle endpoint'] })];
    expect(checkOthers(others, awaited, time)).toMatchObject({ isOpen: false, opensAt: 6_000 });
    expect(checkOthers(others, awaited, { ...time, now: 6_000 })).toMatchObject({ isOpen: true });
  });

  it('names streams that lag, and does not wait for them', () => {
    const laggards = [{ who: 'SDS stream', why: 'is silent' }];
    const verdict = checkOthers([server({ known: [authority], laggards })], awaited, time);
    expect(verdict.isOpen).toBe(true);
    expect(verdict.behind).toEqual([{ who: 'SDS stream (server two)', why: 'is silent' }]);
  });
});

describe('joinVerdicts', () => {
  it('is open when both are, and opens with the later', () => {
    const open = { isOpen: true, behind: [], opensAt: 1 };
    const shut = { isOpen: false, behind: [{ who: 'a', why: 'b' }], opensAt: 9 };
    expect(joinVerdicts(open, open)).toEqual({ isOpen: true, behind: [], opensAt: 1 });
    expect(joinVerdicts(open, shut)).toEqual({ ...shut, opensAt: 9 });
    expect(joinVerdicts({ isOpen: false, behind: [] }, open)).toEqual({
      isOpen: false,
      behind: [],
    });
  });
});
