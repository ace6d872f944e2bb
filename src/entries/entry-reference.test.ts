import { readFileSync } from 'node:fs';
import { status } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import {
  type ErrorCode,
  errorCodes,
  knownSelectorTypes,
  TrustplaneError,
} from '../spiffe/index.ts';
import { statusOf } from '../wire/index.ts';
import { entryLimits } from './entry-limits.ts';
import { pageLimits } from './entry-page.ts';

const page = readFileSync(new URL('../../docs/reference/entries.md', import.meta.url), 'utf8');
const isEntryCode = (code: string): code is ErrorCode => code.startsWith('ERR_ENTRY_');

describe('docs/reference/entries.md', () => {
  it('has every error with its status and meaning', () => {
    const rows = Object.keys(errorCodes)
      .filter(isEntryCode)
      .map((code) => {
        const grpc = status[statusOf(new TrustplaneError(code, '')).grpc];
        return `| \`${code}\` | \`${grpc}\` | ${errorCodes[code][1]} |`;
      });
    expect(page.split('\n').filter((line) => line.startsWith('| `ERR_'))).toEqual(rows);
  });

  it('has every bound and every selector type', () => {
    const numbers = new Set(page.match(/[0-9]+/gu));
    const bounds = [...Object.values(entryLimits), pageLimits.entries];
    expect(bounds.filter((bound) => !numbers.has(String(bound)))).toEqual([]);
    expect(page).toContain(`\`${knownSelectorTypes.join('`, `')}\``);
  });
});
