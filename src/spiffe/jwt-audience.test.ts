import { describe, expect, it } from 'vitest';
import { parseAudience } from './jwt-audience.ts';

describe('parseAudience', () => {
  it('keeps the order and drops repetitions', () => {
    expect(parseAudience(['b', 'a', 'b', 'ü'])).toEqual(['b', 'a', 'ü']);
  });

  it.each([
    ['none', []],
    ['an empty one', ['a', '']],
    ['a control character', ['a\n']],
    ['a lone surrogate', ['\ud800']],
    ['more than 32', Array.from({ length: 33 }, (_, i) => `${i}`)],
    ['more than 4096 bytes', ['ü'.repeat(2049)]],
  ])('refuses %s', (_, values) => {
    expect(() => parseAudience(values)).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_AUDIENCE_LIST' }),
    );
  });
});
