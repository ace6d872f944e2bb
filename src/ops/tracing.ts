import type { Clock } from '../spiffe/index.ts';

/** What a span says besides its name and times; OpenTelemetry's attributes. */
export type SpanFields = Readonly<Record<string, string | number>>;

/** Something that takes time. */
export interface Span {
  /** Its place in the trace, as W3C Trace Context writes it. */
  readonly traceparent: string;
  /** `fault`: why it went wrong. */
  end(fault?: string): void;
}

/** Where spans go. */
export interface SpanSink {
  /** Begins a trace of its own without a `parent`; undefined where it is not among those that are sampled. */
  start(name: string, parent: string | undefined, fields: SpanFields): Span | undefined;
}

interface Cause {
  readonly traceparent: string;
  readonly until: number;
}

/** How long what changed is the cause of what follows. */
const CAUSE_MS = 60_000;
const MAX_CAUSES = 4_096;
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/u;

/**
 * Traces of changes, from the call that made one to the Envoy that took it. Rooms that do not call each other
 * are tied by subjects: the ID of the entry that changed. Without a sink nothing is done.
 */
export class Tracing {
  readonly #clock: Clock;
  readonly #causes = new Map<string, Cause>();
  #sink: SpanSink | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** From now on. */
  use(sink: SpanSink): void {
    this.#sink = sink;
  }

  /** Begins a trace. */
  begin(name: string, fields: SpanFields): Span | undefined {
    return this.#sink?.start(name, undefined, fields);
  }

  /** A span of what made the subject change lately; none where that is not traced. */
  follow(name: string, subject: string, fields: SpanFields): Span | undefined {
    const cause = this.causeOf(subject);
    return cause === undefined ? undefined : this.#sink?.start(name, cause, fields);
  }

  /** What follows for the subject is an effect of this. A `traceparent` of others is ignored when it is none. */
  note(subject: string, traceparent: string): void {
    if (this.#sink === undefined || !TRACEPARENT.test(traceparent)) return;
    this.#causes.delete(subject);
    this.#causes.set(subject, { traceparent, until: this.#clock.now() + CAUSE_MS });
    const [oldest] = this.#causes.keys();
    if (this.#causes.size > MAX_CAUSES && oldest !== undefined) this.#causes.delete(oldest);
  }

  /** The latest that was noted, of the last minute. */
  causeOf(subject: string): string | undefined {
    if (this.#causes.size === 0) return undefined;
    const cause = this.#causes.get(subject);
    return cause !== undefined && cause.until > this.#clock.now() ? cause.traceparent : undefined;
  }
}
