import { describe, expect, it } from 'vitest';
import { fakeView, WITHDRAWN } from '../../test/fakes/fake-resource-view.ts';
import type { SotwRequest } from './discovery-request.ts';
import type { ResourceView } from './resource-view.ts';
import { receiveSotw, respondSotw } from './sotw-stream.ts';
import { countWaiting, initialStreamState, type Verdict } from './stream-state.ts';

/** A stream without a network; each step answers with all responses that are due, as text. */
class Stream {
  state = initialStreamState;
  verdict: Verdict | undefined;
  view: ResourceView;

  constructor(content: Record<string, string>) {
    this.view = fakeView(content);
  }

  request(names: readonly string[], more: Partial<SotwRequest> = {}): string[] {
    const request = {
      names,
      versionInfo: '',
      nonce: '',
      refusal: undefined,
      node: undefined,
      typeUrl: '',
    };
    const received = receiveSotw(this.state, { ...request, ...more }, 1000);
    this.state = received.state;
    this.verdict = received.verdict;
    return this.flush();
  }

  /** A request that answers the latest response. */
  ack(names: readonly string[]): string[] {
    return this.request(names, { nonce: String(this.state.nonce) });
  }

  nack(names: readonly string[], nonce: string = String(this.state.nonce)): string[] {
    return this.request(names, { nonce, refusal: 'no' });
  }

  update(content: Record<string, string>): string[] {
    this.view = fakeView(content);
    return this.flush();
  }

  flush(): string[] {
    const sent: string[] = [];
    for (;;) {
      const { state, response } = respondSotw(this.state, this.view, 1000);
      this.state = state;
      if (response === undefined) return sent;
      const list = response.resources.map(({ name, version }) => `${name}=${version}`);
      sent.push(`${response.nonce}: ${list.join(' ')}`);
    }
  }
}

describe('a SotW stream', () => {
  it('sends nothing before it was asked', () => {
    expect(new Stream({ web: '1' }).flush()).toEqual([]);
  });

  it('answers with what exists, in one response, and waits in silence for the rest (SDS-9)', () => {
    const stream = new Stream({ web: '1', 'td:a': '1' });
    expect(stream.request(['later', 'web', 'td:a'])).toEqual(['1: web=1 td:a=1']);
    expect(countWaiting(stream.state)).toBe(1);
    expect(stream.ack(['later', 'web', 'td:a'])).toEqual([]);
    expect(stream.update({ web: '1', 'td:a': '1', later: '1' })).toEqual(['2: later=1']);
    expect(countWaiting(stream.state)).toBe(0);
  });

  it('waits in silence while nothing exists, and serves it the moment it does (SDS-9)', () => {
    const stream = new Stream({ web: 'pending' });
    expect(stream.request(['web'])).toEqual([]);
    expect(stream.update({ web: 'refused' })).toEqual([]);
    expect(stream.update({ web: '1' })).toEqual(['1: web=1']);
  });

  it('answers an ACK with nothing (SDS-5)', () => {
    const stream = new Stream({ web: '1' });
    stream.request(['web']);
    expect(stream.ack(['web'])).toEqual([]);
    expect(stream.verdict).toMatchObject({ accepted: true, sentAt: 1000 });
    expect(stream.verdict?.refs).toMatchObject([{ name: 'web', version: '1' }]);
  });

  it('sends a client that refuses a list of SPIFFE IDs what needs none, from then on', () => {
    const stream = new Stream({ 'td:a': 'scoped 1', 'td:b': 'scoped 1' });
    expect(stream.request(['td:a'])).toEqual(['1: td:a=scoped 1']);
    expect(stream.nack(['td:a'])).toEqual(['2: td:a=1']);
    expect(stream.ack(['td:a'])).toEqual([]);
    expect(stream.update({ 'td:a': 'scoped 2', 'td:b': 'scoped 1' })).toEqual(['3: td:a=2']);
    expect(stream.nack(['td:a'])).toEqual([]);
    expect(stream.ack(['td:a', 'td:b'])).toEqual(['4: td:b=scoped 1']);
  });

  it('finds out which of several secrets lists what the client refuses', () => {
    const stream = new Stream({ web: '1', 'td:a': 'scoped 1' });
    expect(stream.request(['web', 'td:a'])).toEqual(['1: web=1 td:a=scoped 1']);
    expect(stream.nack(['web', 'td:a'])).toEqual(['2: web=1', '3: td:a=scoped 1']);
    expect(stream.nack(['web', 'td:a'], '2')).toEqual([]);
    expect(stream.nack(['web', 'td:a'], '3')).toEqual(['4: td:a=1']);
  });

  it('sends only what changed (SDS-5, SDS-8)', () => {
    const stream = new Stream({ web: '1', 'td:a': '1' });
    stream.request(['web', 'td:a']);
    expect(stream.update({ web: '2', 'td:a': '1' })).toEqual(['2: web=2']);
    expect(stream.update({ web: '2', 'td:a': '1' })).toEqual([]);
  });

  it('gives every response its own nonce and ignores requests with a stale one (SDS-3)', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request(['web']);
    stream.update({ web: '2', db: '1' });
    expect(stream.request(['web', 'db'], { nonce: '1' })).toEqual([]);
    expect(stream.state.names).toEqual(new Set(['web']));
    expect(stream.request(['web', 'db'])).toEqual([]);
    expect(stream.request(['web', 'db'], { nonce: '9' })).toEqual([]);
    expect(stream.ack(['web', 'db'])).toEqual(['3: db=1']);
  });

  it('takes any nonce as long as it has sent none', () => {
    const stream = new Stream({ db: '1' });
    expect(stream.request(['web'], { nonce: '7' })).toEqual([]);
    expect(stream.request(['web', 'db'], { nonce: '7' })).toEqual(['1: db=1']);
  });

  it('knows a NACK by its error alone and never sends the same again (SDS-4)', () => {
    const stream = new Stream({ web: 'bad' });
    stream.request(['web'], { versionInfo: '' });
    expect(stream.request(['web'], { nonce: '1', versionInfo: '0', refusal: '' })).toEqual([]);
    expect(stream.verdict?.accepted).toBe(false);
    expect(stream.update({ web: 'bad' })).toEqual([]);
    expect(stream.update({ web: 'good' })).toEqual(['2: web=good']);
  });

  it('honors a changed list of names inside a NACK (SDS-4)', () => {
    const stream = new Stream({ web: 'bad', db: '1' });
    stream.request(['web']);
    expect(stream.nack(['web', 'db'])).toEqual(['2: db=1']);
  });

  it('sends what was refused together once more, one by one', () => {
    const stream = new Stream({ web: '1', db: 'bad', 'td:a': '1' });
    const names = ['web', 'db', 'td:a'];
    expect(stream.request(names)).toEqual(['1: web=1 db=bad td:a=1']);
    expect(stream.nack(names)).toEqual(['2: web=1', '3: db=bad', '4: td:a=1']);
    stream.request(names, { nonce: '2' });
    expect(stream.nack(names, '3')).toEqual([]);
    expect(stream.ack(names)).toEqual([]);
    expect(stream.update({ web: '2', db: 'good', 'td:a': '2' })).toEqual([
      '5: web=2 td:a=2',
      '6: db=good',
    ]);
    expect(stream.nack(names)).toEqual([]);
  });

  it('hears a late NACK of a response that later ones followed', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request(['web', 'db']);
    stream.update({ web: '2', db: '1' });
    expect(stream.nack(['web', 'db'], '1')).toEqual(['3: db=1']);
  });

  it('answers a name that is new on the list even if it was served before (SDS-6)', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request(['web', 'db']);
    expect(stream.ack(['db'])).toEqual([]);
    expect(stream.update({ web: '2', db: '1' })).toEqual([]);
    stream.update({ web: '1', db: '1' });
    expect(stream.ack(['web', 'db'])).toEqual(['2: web=1']);
  });

  it('answers a name that went and came back while a response was under way', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request(['web', 'db']);
    stream.update({ web: '1', db: '2' });
    expect(stream.request(['db'], { nonce: '1' })).toEqual([]);
    expect(stream.request(['db', 'web'], { nonce: '1' })).toEqual([]);
    expect(stream.ack(['db', 'web'])).toEqual(['3: web=1']);
    expect(stream.ack(['db', 'web'])).toEqual([]);
  });

  it('answers the first request of a stream whatever version it names (SDS-6)', () => {
    const stream = new Stream({ web: '1' });
    expect(stream.request(['web'], { versionInfo: '1', nonce: '5' })).toEqual(['1: web=1']);
  });

  it('never puts a name twice into a response (SDS-10)', () => {
    const stream = new Stream({ web: '1' });
    expect(stream.request(['web', 'web', '*'])).toEqual(['1: web=1']);
  });

  it('takes an empty list for everything, until something was named', () => {
    const stream = new Stream({ web: '1', 'td:a': '1' });
    expect(stream.request([])).toEqual(['1: web=1 td:a=1']);
    expect(stream.ack([])).toEqual([]);
    expect(stream.update({ web: '1', 'td:a': '1', db: '1' })).toEqual(['2: db=1']);
    expect(stream.ack(['web'])).toEqual(['3: web=1']);
    expect(stream.update({ web: '1', 'td:a': '2', db: '2' })).toEqual([]);
    expect(stream.ack([])).toEqual([]);
    expect(stream.update({ web: '2', 'td:a': '2', db: '2' })).toEqual([]);
    expect(stream.ack(['*', 'web'])).toEqual(['4: web=2 td:a=2 db=2']);
  });

  it('keeps what a wildcard covers when a name beside it goes', () => {
    const stream = new Stream({ web: '1', db: '1' });
    stream.request(['*', 'web']);
    expect(stream.ack(['*'])).toEqual(['2: web=1']);
  });

  it('takes a lost bundle back once, and brings it again when it returns', () => {
    const stream = new Stream({ web: '1', 'td:a': '1', 'td:b': '1' });
    stream.request(['web', 'td:a', 'td:b']);
    const lost = { web: 'refused', 'td:a': 'pending', 'td:b': '2' };
    expect(stream.update(lost)).toEqual([`2: td:a=${WITHDRAWN}`, '3: td:b=2']);
    expect(stream.update(lost)).toEqual([]);
    expect(stream.update({ web: '1', 'td:a': '1', 'td:b': '2' })).toEqual(['4: web=1 td:a=1']);
  });

  it('keeps silent about an expired SVID and serves the next one (SDS-20)', () => {
    const stream = new Stream({ web: '1' });
    stream.request(['web']);
    expect(stream.update({ web: 'withheld' })).toEqual([]);
    expect(stream.update({ web: '2' })).toEqual(['2: web=2']);
  });

  it('takes back on a new stream what the client holds and may not have', () => {
    const stream = new Stream({ 'td:a': 'pending', 'td:b': 'refused', web: 'refused' });
    const names = ['td:a', 'td:b', 'web'];
    expect(stream.request(names, { versionInfo: 'old' })).toEqual([`1: td:b=${WITHDRAWN}`]);
    expect(stream.update({ 'td:a': 'refused' })).toEqual([`2: td:a=${WITHDRAWN}`]);
    expect(countWaiting(stream.state)).toBe(3);
  });

  it('says nothing of bundles to a client that held none', () => {
    const stream = new Stream({ 'td:b': 'refused' });
    expect(stream.request(['td:b'])).toEqual([]);
  });

  it('splits a response that would be too large', () => {
    const stream = new Stream({});
    stream.view = fakeView({ a: '1', b: '1', c: '1' }, 1024 * 1024);
    expect(stream.request(['a', 'b', 'c'])).toEqual(['1: a=1 b=1', '2: c=1']);
  });

  it('remembers a bounded number of unanswered responses', () => {
    const stream = new Stream({ web: '0' });
    stream.request(['web']);
    for (let version = 1; version <= 100; version++) stream.update({ web: String(version) });
    expect(stream.state.flights.length).toBeLessThanOrEqual(16);
    stream.ack(['web']);
    expect(stream.verdict?.refs).toMatchObject([{ version: '100' }]);
    expect(stream.state.flights).toEqual([]);
  });
});
