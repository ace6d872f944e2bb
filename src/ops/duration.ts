import { TrustplaneError } from '../spiffe/index.ts';

const UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const FORM = /^(?:\d{1,9}(?:ms|[smhd]))+$/u;
const PART = /(\d+)(ms|[smhd])/gu;

/**
 * Parses a duration such as `90s`, `1h30m` or `250ms` into milliseconds.
 * @throws TrustplaneError ERR_DURATION
 */
export function parseDurationMs(text: string): number {
  if (!FORM.test(text)) {
    throw new TrustplaneError(
      'ERR_DURATION',
      `a duration is a number with a unit out of ms, s, m, h, d, for example 90s or 1h30m; got ${JSON.stringify(text.slice(0, 80))}`,
    );
  }
  let total = 0;
  for (const [, count, unit] of text.matchAll(PART))
    total += Number(count) * (UNITS_MS[unit ?? ''] ?? 0);
  return total;
}

/** Prints milliseconds in the largest units that fit: `1h30m`, `5s`, `250ms`. */
export function formatDuration(ms: number): string {
  if (ms <= 0) return '0s';
  let left = Math.round(ms);
  let text = '';
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const size = UNITS_MS[unit] ?? 1;
    const count = Math.floor(left / size);
    if (count > 0) text += `${count}${unit}`;
    left -= count * size;
  }
  return text;
}
