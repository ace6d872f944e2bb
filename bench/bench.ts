import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { formatTable } from '../src/cli/table.ts';
import { benchmarks } from './benchmarks.ts';
import { type Measurement, passes } from './measurement.ts';

const USAGE = `Usage: npm run bench -- [--only NAME]... [--json FILE]

Measures trustplane and prints each figure beside the limit or the baseline of the same run.
Exit code 1 if a figure misses its bar.

Names: ${benchmarks.map(({ name }) => name).join(', ')}`;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    json: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

process.exitCode = flags.help === true ? usage(0) : await main(flags.only ?? [], flags.json);

async function main(only: readonly string[], file: string | undefined): Promise<number> {
  const unknown = only.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name));
  if (unknown.length > 0) return usage(2, `there is no benchmark ${unknown.join(', ')}`);
  const chosen = benchmarks.filter(({ name }) => only.length === 0 || only.includes(name));
  const results: Measurement[] = [];
  for (const [index, benchmark] of chosen.entries()) {
    const step = `[${index + 1}/${chosen.length}] ${benchmark.name}`;
    process.stderr.write(`${step}: ${benchmark.about}\n`);
    results.push(await benchmark.run((progress) => process.stderr.write(`${step}: ${progress}\n`)));
  }
  process.stdout.write(`${formatResults(results)}\n`);
  if (file !== undefined) writeFileSync(file, `${JSON.stringify(results.map(toJson), null, 2)}\n`);
  return results.every(passes) ? 0 : 1;
}

function usage(code: number, problem?: string): number {
  process.stderr.write(problem === undefined ? `${USAGE}\n` : `bench: ${problem}\n\n${USAGE}\n`);
  return code;
}

function toJson({ name, value, unit, baseline, ratio }: Measurement): object {
  return { name, value, unit, baseline, ratio };
}

function formatResults(results: readonly Measurement[]): string {
  const sign = { below: '<', 'at-most': '<=', 'at-least': '>=' };
  const rows = results.map((result) => [
    result.name,
    `${show(result.value)} ${result.unit}`,
    `${show(result.baseline)} ${result.unit}`,
    result.ratio.toFixed(3),
    `${sign[result.bar.kind]} ${result.bar.ratio}`,
    passes(result) ? 'ok' : 'MISSED',
  ]);
  return formatTable(['name', 'value', 'limit or baseline', 'ratio', 'bar', ''], rows);
}

function show(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
