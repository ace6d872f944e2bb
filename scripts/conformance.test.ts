import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { formatChecklist, loadChecklist } from './conformance-checklist.ts';
import { findTitledTests } from './conformance-titles.ts';

const prefixes = new Set(['ID', 'X509', 'SDS']);
const keysOf = (source: string) =>
  findTitledTests('x.test.ts', source, prefixes).map(({ keys }) => keys.join(' '));

describe('the conformance checklist', () => {
  it('has unique keys, each in a group, and is what the reference shows', () => {
    const checklist = loadChecklist();
    const keys = checklist.keys.map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
    const groupPrefixes = new Set(checklist.groups.map(({ prefix }) => prefix));
    for (const key of keys) expect(groupPrefixes).toContain(key.slice(0, key.lastIndexOf('-')));
    const page = new URL('../docs/reference/conformance.md', import.meta.url);
    expect(readFileSync(page, 'utf8')).toBe(formatChecklist(checklist));
  });
});

describe('findTitledTests', () => {
  it('finds the keys in titles of tests, however they are called', () => {
    expect(keysOf("it('a (ID-1, X509-10)', () => {})")).toEqual(['ID-1 X509-10']);
    expect(keysOf('test.concurrent(`b ${x} (SDS-3)`, f)')).toEqual(['SDS-3']);
    expect(keysOf("it.each([1])('%s (ID-2)', f)")).toEqual(['ID-2']);
    expect(keysOf("it.skipIf(x)('e (ID-4)', f)")).toEqual(['ID-4']);
    expect(keysOf("describe('x', () => { it('d (ID-3)', f); })")).toEqual(['ID-3']);
  });

  it('does not count comments, other strings, other calls, ranges and tests that do not run', () => {
    expect(keysOf("// ID-1\nit('a', () => { expect('ID-2').toBe('ID-3'); })")).toEqual(['']);
    expect(keysOf("describe('ID-1', () => {})")).toEqual([]);
    expect(keysOf("it.skip('ID-1', f); it.todo('ID-2'); test.skip.each([1])('ID-3', f)")).toEqual(
      [],
    );
    expect(keysOf("describe.skip('x', () => { it('ID-1', f); })")).toEqual([]);
    expect(keysOf("it('UTF-8, SHA-256, ID-1-2, XID-1 and ID-7x', f)")).toEqual(['']);
  });
});
