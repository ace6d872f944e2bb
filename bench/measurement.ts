/** One figure beside the limit or baseline it is held against. */
export interface Measurement {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The limit, or what the baseline reached in the same run. */
  readonly baseline: number;
  /** `value / baseline`. */
  readonly ratio: number;
  /** What the ratio must be. */
  readonly bar: { readonly kind: 'at-most' | 'at-least' | 'below'; readonly ratio: number };
}

/** A benchmark: measures once and returns its figures. */
export interface Benchmark {
  readonly name: string;
  /** What is measured, from where to where. */
  readonly about: string;
  run(report: (progress: string) => void): Promise<Measurement>;
}

/** A figure that must stay below a fixed limit. */
export function against(
  name: string,
  value: number,
  unit: string,
  limit: number,
  kind: 'below' | 'at-most' = 'below',
): Measurement {
  return { name, value, unit, baseline: limit, ratio: value / limit, bar: { kind, ratio: 1 } };
}

/** A figure that is a ratio to a baseline of the same run: its baseline is 1. */
export function asRatio(name: string, ratio: number, bar: Measurement['bar']): Measurement {
  return { name, value: ratio, unit: 'x', baseline: 1, ratio, bar };
}

export function passes({ ratio, bar }: Measurement): boolean {
  if (bar.kind === 'at-least') return ratio >= bar.ratio;
  return bar.kind === 'below' ? ratio < bar.ratio : ratio <= bar.ratio;
}

/** The middle value; of an even count the lower middle. */
export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** Nearest-rank percentile. */
export function percentile(values: readonly number[], rank: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const value = sorted[Math.max(0, Math.ceil((rank / 100) * sorted.length) - 1)];
  if (value === undefined) throw new Error('no values were measured');
  return value;
}
