import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { silentLog, systemClock, Tracing } from '../ops/index.ts';
import { openTracing } from './open-tracing.ts';

const exported = z.looseObject({
  resourceSpans: z.array(
    z.looseObject({
      scopeSpans: z.array(
        z.looseObject({
          spans: z.array(
            z.looseObject({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              attributes: z.array(z.looseObject({ key: z.string() })),
              status: z.looseObject({ message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
});

type Exported = z.output<
  typeof exported
>['resourceSpans'][number]['scopeSpans'][number]['spans'][number];

/** Takes OTLP over HTTP, as a collector does. */
async function serveCollector(status = 200) {
  const spans: Exported[] = [];
  const paths: (string | undefined)[] = [];
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    paths.push(request.url);
    const { resourceSpans } = exported.parse(JSON.parse(await text(request)));
    spans.push(...resourceSpans.flatMap((one) => one.scopeSpans).flatMap((one) => one.spans));
    response.writeHead(status).end('{}');
  };
  const server = createServer((request, response) => void take(request, response));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  return { endpoint: `http://127.0.0.1:${port}/v1/traces`, spans, paths };
}

function opened() {
  const warnings: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => warnings.push(fields) };
  const closing = new AsyncDisposableStack();
  const process = { tracing: new Tracing(systemClock), closing, log, clock: systemClock };
  return { process, warnings };
}

it('sends a change and what followed to the collector, as one trace', async () => {
  const { endpoint, spans, paths } = await serveCollector();
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
  const { endpoint, spans } = await serveCollector();
  const { process } = opened();
  await openTracing({ traces: undefined }, process);
  expect(process.tracing.begin('entry.create', {})).toBeUndefined();
  await openTracing({ traces: { endpoint, sample: 0 } }, process);
  expect(process.tracing.begin('entry.create', {})).toBeUndefined();
  await process.closing.disposeAsync();
  expect(spans).toEqual([]);
});

it('goes on without a collector, and says so', async () => {
  const { endpoint } = await serveCollector(400);
  const { process, warnings } = opened();
  await openTracing({ traces: { endpoint, sample: 1 } }, process);
  process.tracing.begin('entry.create', {})?.end();
  await process.closing.disposeAsync();
  expect(warnings.length).toBeGreaterThan(0);
});
