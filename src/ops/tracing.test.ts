import { expect, it } from 'vitest';
import { FakeClock } from '../../test/fakes/fake-clock.ts';
import { type SpanFields, Tracing } from './tracing.ts';

const parentOf = (at: number): string =>
  `00-${'a'.repeat(32)}-${at.toString(16).padStart(16, '0')}-01`;

function opened() {
  const clock = new FakeClock();
  const tracing = new Tracing(clock);
  const spans: { name: string; parent: string | undefined; fields: SpanFields }[] = [];
  tracing.use({
    start(name, parent, fields) {
      spans.push({ name, parent, fields });
      return { traceparent: parentOf(spans.length), end: () => {} };
    },
  });
  return { clock, tracing, spans };
}

it('ties what follows to what changed the subject last', () => {
  const { tracing, spans } = opened();
  const first = tracing.begin('entry.create', { 'entry.id': 'e1' });
  tracing.note('e1', first?.traceparent ?? '');
  const next = tracing.follow('sync.update', 'e1', {});
  tracing.note('e1', next?.traceparent ?? '');
  tracing.follow('svid.issue', 'e1', {});
  expect(tracing.follow('svid.issue', 'e2', {})).toBeUndefined();
  expect(spans.map(({ name, parent }) => [name, parent])).toEqual([
    ['entry.create', undefined],
    ['sync.update', parentOf(1)],
    ['svid.issue', parentOf(2)],
  ]);
});

it('forgets after a minute, and what it has no room for', () => {
  const { clock, tracing } = opened();
  tracing.note('old', parentOf(1));
  clock.advance(59_999);
  expect(tracing.causeOf('old')).toBe(parentOf(1));
  clock.advance(1);
  expect(tracing.causeOf('old')).toBeUndefined();
  for (let at = 0; at <= 4_096; at++) tracing.note(`e${at}`, parentOf(1));
  expect(tracing.causeOf('e0')).toBeUndefined();
  expect(tracing.causeOf('e1')).toBe(parentOf(1));
});

it.each([
  '',
  'x',
  `01-${'a'.repeat(32)}-${'b'.repeat(16)}-01`,
  `00-${'0'.repeat(32)}-${'b'.repeat(16)}-01`,
  `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`,
  `${parentOf(1)}-more`,
])('takes %j for no place in a trace', (traceparent) => {
  const { tracing } = opened();
  tracing.note('e1', traceparent);
  expect(tracing.causeOf('e1')).toBeUndefined();
});

it('does nothing as long as there is nowhere for spans to go', () => {
  const tracing = new Tracing(new FakeClock());
  tracing.note('e1', parentOf(1));
  expect(tracing.causeOf('e1')).toBeUndefined();
  expect(tracing.begin('entry.create', {})).toBeUndefined();
});
