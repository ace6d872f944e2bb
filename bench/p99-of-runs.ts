import { against, type Benchmark, type Measurement, median, percentile } from './measurement.ts';
import { withTemporaryFolder } from './temporary-folder.ts';

const RUNS = Number(process.env['RUNS'] ?? 3);

/** A benchmark of a p99 in milliseconds: nearest rank, the median of three runs. */
export function p99OfRuns(options: {
  readonly name: string;
  readonly about: string;
  readonly limitMs: number;
  /** One run; the milliseconds of each sample. */
  readonly measure: (
    folder: string,
    report: (progress: string) => void,
  ) => Promise<readonly number[]>;
}): Benchmark {
  return {
    name: options.name,
    about: `${options.about}; median of ${RUNS} runs`,
    async run(report): Promise<Measurement> {
      const p99s: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const times = await withTemporaryFolder(
          async (folder) => await options.measure(folder, report),
        );
        p99s.push(percentile(times, 99));
        report(
          `p50 ${percentile(times, 50).toFixed(1)}, p99 ${percentile(times, 99).toFixed(1)} ms`,
        );
      }
      return against(options.name, median(p99s), 'ms', options.limitMs);
    },
  };
}
