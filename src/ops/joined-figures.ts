/** One metric as it stands: what a registry has of it, and may go to another thread. */
export interface Figure {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly values: readonly FigureValue[];
}

interface FigureValue {
  readonly labels: object;
  readonly value: number;
  /** Of a histogram, where it differs from the metric's. */
  readonly metricName?: string;
}

/** The figures of several threads as those of one process: what has the same name and labels is added up. */
export function joinFigures(threads: readonly (readonly Figure[])[]): readonly Figure[] {
  const joined = new Map<string, Figure & { readonly values: FigureValue[] }>();
  for (const figure of threads.flat()) {
    const known = joined.get(figure.name);
    if (known === undefined) joined.set(figure.name, { ...figure, values: [...figure.values] });
    else addValues(known.values, figure.values);
  }
  return [...joined.values()];
}

function addValues(sums: FigureValue[], values: readonly FigureValue[]): void {
  const places = new Map(sums.map((value, index) => [keyOf(value), index]));
  for (const value of values) {
    const index = places.get(keyOf(value));
    const sum = index === undefined ? undefined : sums[index];
    if (index === undefined || sum === undefined) sums.push(value);
    else sums[index] = { ...sum, value: sum.value + value.value };
  }
}

function keyOf({ labels, metricName = '' }: FigureValue): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${String(value)}`);
  return JSON.stringify([metricName, ...pairs.sort()]);
}
