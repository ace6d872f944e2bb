import { describe, expect, it } from 'vitest';
import { fakeView, WITHDRAWN } from '../../test/fakes/fake-resource-view.ts';
import { receiveDelta } from './delta-stream.ts';
import type { ResourceView } from './resource-view.ts';
import { respond } from './respond.ts';
import { initialStreamState, type Verdict } from './stream-state.ts';

interface Ask {
  readonly subscribe?: readonly string[];
  readonly unsubscribe?: readonly string[];
  readonly initial?: Readonly<Record<string, string>>;
  readonly nonce?: string;
  readonly refusal?: string;
}

/** A stream without a network; each step answers with all responses that are due, as text. */
class Stream {
  state = initialStreamState;
  verdict: Verdict | undefined;
  view: ResourceView;

  constructor(content: Record<string, string>) {
    this.view = fakeView(content);
  }

  request(ask: Ask): string[] {
    const received = receiveDelta(
      this.state,
      {
        subscribe: ask.subscribe ?? [],
        unsubscribe: ask.unsubscribe ?? [],
        initialVersions: new Map(Object.entries(ask.initial ?? {})),
        nonce: ask.nonce ?? '',
        refusal: ask.refusal,
        node: undefined,
        typeUrl: '',
      },
      1000,
    );
    this.state = received.state;
    this.verdict = received.verdict;
    return this.flush();
  }

  update(content: Record<string, string>): string[] {
    this.view = fakeView(content);
    return this.flush();
  }

  flush(): string[] {
    const sent: string[] = [];
    for (;;) {
      const { state, response } = respond(this.state, this.view, 1000, 'heartbeat');
      this.state = state;
      if (response === undefined) return sent;
      const list = [
        ...response.resources.map(({ name, version }) => `${name}=${version}`),
        ...response.removed.map((name) => `-${name}`),
      ];
      sent.push(`${response.nonce}: ${list.join(' ')}`);
    }
  }
}

describe('a delta stream', () => {
  it('answers what exists, and an unknown name with nothing until it exists (SDS-9, SDS-12)', () => {
    const stream = new Stream({ web: '1' });
    expect(stream.request({ subscribe: ['web', 'later'] })).toEqual(['1: web=1']);
    expect(stream.request({ nonce: '1' })).toEqual([]);
    expect(stream.update({ web: '1', later: 'pending' })).toEqual([]);
    expect(stream.update({ web: '1', later: '1' })).toEqual(['2: later=1']);
  });

  it('answers every existing name that is subscribed to, even if unchanged (SDS-12)', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request({ subscribe: ['web'] });
    expect(stream.request({ subscribe: ['web', 'db'] })).toEqual(['2: web=1 db=1']);
  });

  it('leaves out what the client says it holds, on the first request (SDS-12)', () => {
    const stream = new Stream({ web: '1', db: '2', 'td:a': '1' });
    const ask = { subscribe: ['web', 'db', 'td:a'], initial: { web: '1', db: '1', other: '1' } };
    expect(stream.request(ask)).toEqual(['1: db=2 td:a=1']);
    expect(stream.request({ subscribe: ['web'], initial: { web: '1' } })).toEqual(['2: web=1']);
  });

  it('takes subscriptions with a stale nonce (SDS-12)', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request({ subscribe: ['web'] });
    stream.update({ web: '2', db: '1' });
    expect(stream.request({ subscribe: ['db'], nonce: '1' })).toEqual(['3: db=1']);
    expect(stream.request({ unsubscribe: ['web'], nonce: 'nonsense' })).toEqual([]);
    expect(stream.update({ web: '3', db: '1' })).toEqual([]);
  });

  it('ignores phantom unsubscribes (SDS-12)', () => {
    const stream = new Stream({ web: '1' });
    stream.request({ subscribe: ['web'] });
    expect(stream.request({ unsubscribe: ['db', '*'] })).toEqual([]);
    expect(stream.update({ web: '2' })).toEqual(['2: web=2']);
  });

  it('keeps a name that one request takes off and puts on', () => {
    const stream = new Stream({ web: '1' });
    stream.request({ subscribe: ['web'] });
    expect(stream.request({ subscribe: ['web'], unsubscribe: ['web'] })).toEqual(['2: web=1']);
  });

  it('removes only names it has served (SDS-9, SDS-12)', () => {
    const stream = new Stream({ web: '1', later: 'pending' });
    stream.request({ subscribe: ['web', 'later', 'never'] });
    expect(stream.update({ web: 'refused', later: 'refused' })).toEqual(['2: -web']);
    expect(stream.update({})).toEqual([]);
    expect(stream.update({ web: '1' })).toEqual(['3: web=1']);
  });

  it('does not remove what the client never took, since Envoy would go live without it (SDS-9)', () => {
    const stream = new Stream({ web: 'bad', db: '1' });
    stream.request({ subscribe: ['web'] });
    stream.request({ subscribe: ['db'], nonce: '1', refusal: 'no' });
    expect(stream.update({})).toEqual(['3: -db']);
    stream.update({ web: '1', db: '1' });
    expect(stream.request({ unsubscribe: ['web'], nonce: '4' })).toEqual([]);
    stream.view = fakeView({ db: '1' });
    expect(stream.request({ subscribe: ['web'] })).toEqual([]);
  });

  it('removes what the client took, however many it refused before and after', () => {
    const stream = new Stream({ web: 'bad' });
    stream.request({ subscribe: ['web'] });
    stream.update({ web: '1' });
    stream.request({ nonce: '1', refusal: 'no' });
    stream.update({ web: 'bad' });
    stream.request({ nonce: '2' });
    stream.request({ nonce: '3', refusal: 'no' });
    expect(stream.update({})).toEqual(['4: -web']);
  });

  it('takes a bundle back by content, since Envoy ignores removals (SDS-13)', () => {
    const stream = new Stream({ 'td:a': '1', web: '1' });
    stream.request({ subscribe: ['td:a', 'web'] });
    expect(stream.update({})).toEqual([`2: td:a=${WITHDRAWN}`, '3: -web']);
  });

  it('is careful with what the client holds from an earlier stream', () => {
    const stream = new Stream({ 'td:a': 'pending', 'td:b': 'refused', web: 'pending' });
    const initial = { 'td:a': '1', 'td:b': '1', web: '1' };
    const ask = { subscribe: Object.keys(initial), initial };
    expect(stream.request(ask)).toEqual([`1: td:b=${WITHDRAWN}`]);
    expect(stream.update({ 'td:a': '1', web: '1' })).toEqual([]);
    expect(stream.update({ 'td:a': '1', web: 'refused' })).toEqual(['2: -web']);
  });

  it('knows a NACK by its error and does not send the same again (SDS-4)', () => {
    const stream = new Stream({ web: 'bad' });
    stream.request({ subscribe: ['web'] });
    expect(stream.request({ nonce: '1', refusal: 'no' })).toEqual([]);
    expect(stream.verdict).toMatchObject({ accepted: false, refs: [{ version: 'bad' }] });
    expect(stream.update({ web: 'good' })).toEqual(['2: web=good']);
    expect(stream.request({ nonce: '2' })).toEqual([]);
    expect(stream.verdict?.accepted).toBe(true);
  });

  it('sends what was refused together once more, one by one', () => {
    const stream = new Stream({ web: '1', db: 'bad' });
    stream.request({ subscribe: ['web', 'db'] });
    expect(stream.request({ nonce: '1', refusal: 'no' })).toEqual(['2: web=1', '3: db=bad']);
    expect(stream.request({ nonce: '2' })).toEqual([]);
    expect(stream.request({ nonce: '3', refusal: 'no' })).toEqual([]);
  });

  it('treats a first request without names, and "*", as everything', () => {
    for (const subscribe of [[], ['*']]) {
      const stream = new Stream({ web: '1', 'td:a': '1' });
      expect(stream.request({ subscribe, initial: { web: '1' } })).toEqual(['1: td:a=1']);
      expect(stream.update({ web: '1', db: '1' })).toEqual([`2: td:a=${WITHDRAWN}`, '3: db=1']);
      expect(stream.update({ web: '1' })).toEqual(['4: -db']);
      expect(stream.request({ unsubscribe: ['*'] })).toEqual([]);
      expect(stream.update({ web: '2' })).toEqual([]);
      expect(stream.request({ subscribe: ['*'] })).toEqual(['5: web=2']);
    }
  });

  it('says of a name that leaves a wildcard stream whether the wildcard covers it', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request({ subscribe: ['*', 'web'] });
    expect(stream.request({ unsubscribe: ['web'] })).toEqual(['2: web=1']);
  });

  it('repeats everything when "*" is subscribed to again', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request({ subscribe: ['*'] });
    expect(stream.request({ subscribe: ['*'] })).toEqual(['2: web=1 db=1']);
  });
});
