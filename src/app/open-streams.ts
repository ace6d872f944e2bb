import type { StreamRegister, StreamReport } from '../spiffe/index.ts';

/** Streams and calls that ended with an error, the last ones of all processes. */
const MAX_ENDED = 256;
/** Of these. */
const MAX_NAMES = 4;

/** The open streams of local processes, and how the last ones ended that did not end well. */
export class OpenStreams implements StreamRegister {
  readonly #open = new Set<() => StreamReport>();
  #ended: readonly StreamReport[] = [];

  open(report: () => StreamReport): (ended?: string) => void {
    this.#open.add(report);
    return (ended) => {
      if (!this.#open.delete(report) || ended === undefined) return;
      const { resources, ...stream } = report();
      const last = { ...stream, resources: resources.slice(0, MAX_NAMES), ended };
      this.#ended = [...this.#ended, last].slice(-MAX_ENDED);
    };
  }

  /** As they stand now; open ones first. */
  find(isMeant: (report: StreamReport) => boolean): readonly StreamReport[] {
    return [...Array.from(this.#open, (report) => report()), ...this.#ended].filter(isMeant);
  }
}
