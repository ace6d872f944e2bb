import type * as Otel from '@opentelemetry/api';
import { limitLog, type SpanSink } from '../ops/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import { version } from './version.ts';

const EXPORT_TIMEOUT_MS = 10_000;
/** What waits for a collector that does not answer; spans after that are dropped. */
const MAX_WAITING = 2_048;
const DELAY_MS = 1_000;

/** Sends traces where that is configured; what has ended is sent before `process` is closed. */
export async function openTracing(
  { traces }: Pick<Config, 'traces'>,
  { tracing, closing, log, clock }: Pick<Process, 'tracing' | 'closing' | 'log' | 'clock'>,
): Promise<void> {
  if (traces === undefined) return;
  // Loaded where it is wanted.
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ]);
  const limited = limitLog(log, clock);
  const warn = (message: string): void =>
    limited.warn({ why: reasonIn(message) }, 'traces are not delivered');
  const quiet = { info: () => {}, debug: () => {}, verbose: () => {} };
  api.diag.setLogger({ ...quiet, error: warn, warn }, api.DiagLogLevel.WARN);
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'trustplane',
      'service.version': version(),
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(traces.sample) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: traces.endpoint, timeoutMillis: EXPORT_TIMEOUT_MS }),
        scheduledDelayMillis: DELAY_MS,
        exportTimeoutMillis: EXPORT_TIMEOUT_MS,
        maxQueueSize: MAX_WAITING,
      }),
    ],
  });
  tracing.use(createSink(api, provider.getTracer('trustplane')));
  closing.defer(() => provider.shutdown().catch(() => {}));
}

function createSink(api: typeof Otel, tracer: Otel.Tracer): SpanSink {
  const placeOf = (traceparent: string) => {
    const [, traceId = '', spanId = '', flags = ''] = traceparent.split('-');
    const traceFlags = Number.parseInt(flags, 16);
    const parent = { traceId, spanId, traceFlags, isRemote: true };
    return api.trace.setSpanContext(api.ROOT_CONTEXT, parent);
  };
  return {
    start(name, parent, fields) {
      const attributes: Otel.Attributes = {};
      for (const [field, value] of Object.entries(fields))
        attributes[`trustplane.${field}`] = value;
      const place = parent === undefined ? api.ROOT_CONTEXT : placeOf(parent);
      const span = tracer.startSpan(name, { attributes }, place);
      if (!span.isRecording()) return undefined;
      const { traceId, spanId } = span.spanContext();
      return {
        traceparent: `00-${traceId}-${spanId}-01`,
        end(fault) {
          if (fault !== undefined) {
            span.setStatus({ code: api.SpanStatusCode.ERROR, message: fault });
          }
          span.end();
        },
      };
    },
  };
}

/** The exporter tells of errors as JSON with their stack. */
function reasonIn(message: string): string {
  try {
    const error: unknown = JSON.parse(message);
    const reason: unknown = error instanceof Object && Reflect.get(error, 'message');
    return typeof reason === 'string' && reason !== '' ? reason : message;
  } catch {
    return message;
  }
}
