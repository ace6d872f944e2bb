import { expect, it, onTestFinished } from 'vitest';
import { serveCollector } from '../../test/programs/collector.ts';
import { silentLog, systemClock, Tracing } from '../ops/index.ts';
import { openTracing } from './open-tracing.ts';

async function collecting(status?: number) {
  const collector = await serveCollector(status);
  onTestFinished(() => collector.close());
  return collector;
}

function opened() {
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => warnings.push(fields) };
  const closing = new AsyncDisposableStack();
  const process = { tracing: new Tracing(systemClock), closing, log, clock: systemClock };
  return { process, warnings };
}

it('sends a change and what followed to the collector, as one trace', async () => {
  const { endpoint, spans, paths } = await collecting();
  const { process } = opened();
  await openTracing({ traces: { endpoint, sample: 1 } }, process);
  const { tracing } = process;
  const change = tracing.begin('entry.create', { entry_id: 'e1' });
  tracing.note('e1', change?.traceparent ?? '');
  tracing.follow('svid.issue', 'e1', {})?.end('the store is full');
  change?.end();
  await process.closing.disposeAsync();
  expect(new Set(paths)).toEqual(new Set(['/v1/traces']));
  const [cause] = spans.filter(({ name }) => name === 'entry.create');
  const [effect] = spans.filter(({ name }) => name === 'svid.issue');
  expect(cause?.attributes.map(({ key }) => key)).toEqual(['trustplane.entry_id']);
  expect(cause?.parentSpanId ?? '').toBe('');
  expect(effect).toMatchObject({ traceId: cause?.traceId, parentSpanId: cause?.spanId });
  expect(effect?.status.message).toBe('the store is full');
});

it('traces nothing where nothing is to be sampled, or nothing is configured', async () => {
  const { endpoint, spans } = await collecting();
  const { process } = opened();
  await openTracing({ traces: undefined }, process);
  expect(process.tracing.begin('entry.create', {})).toBeUndefined();
  await openTracing({ traces: { endpoint, sample: 0 } }, process);
  expect(process.tracing.begin('entry.create', {})).toBeUndefined();
  await process.closing.disposeAsync();
  expect(spans).toEqual([]);
});

it('goes on without a collector, and says so', async () => {
  const { endpoint } = await collecting(400);
  const { process, warnings } = opened();
  await openTracing({ traces: { endpoint, sample: 1 } }, process);
  process.tracing.begin('entry.create', {})?.end();
  await process.closing.disposeAsync();
  expect(warnings.length).toBeGreaterThan(0);
  expect(JSON.stringify(warnings)).not.toContain('stack');
});
