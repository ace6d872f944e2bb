import { describe, expect, it } from 'vitest';
import { formatSelector, parseSelector, SelectorSet } from './selector.ts';

const set = (...texts: string[]) => SelectorSet.of(texts.map(parseSelector));
const refusal = expect.objectContaining({ code: 'ERR_SELECTOR' });

describe('parseSelector', () => {
  it.each([
    ['unix:uid:1000', 'unix', 'uid:1000'],
    ['k8s:pod-label:app=web', 'k8s', 'pod-label:app=web'],
    ['unix:path:/usr/bin/my app', 'unix', 'path:/usr/bin/my app'],
    ['docker:label:name:Ünï=\u4e16', 'docker', 'label:name:Ünï=\u4e16'],
    ['my_type.v2-x:y', 'my_type.v2-x', 'y'],
    ['a::', 'a', ':'],
  ])('parses %s', (text, type, value) => {
    const selector = parseSelector(text);
    expect(selector).toEqual({ type, value });
    expect(formatSelector(selector)).toBe(text);
  });

  it.each([
    '',
    ':',
    'unix',
    'unix:',
    ':uid:0',
    'un ix:uid:0',
    'unïx:uid:0',
    'unix\n:uid:0',
    'un/ix:uid:0',
    'unix:uid:0\n',
    'unix:a\u0000b',
    'unix:\u001b[2J',
    'unix:\ud800',
    `${'t'.repeat(65)}:v`,
    `t:${'v'.repeat(4097)}`,
  ])('refuses %j', (text) => {
    expect(() => parseSelector(text)).toThrow(refusal);
  });

  it('takes types of 64 and values of 4096 bytes', () => {
    expect(parseSelector(`${'t'.repeat(64)}:${'v'.repeat(4096)}`).value).toHaveLength(4096);
    expect(() => parseSelector(`t:${'ü'.repeat(2049)}`)).toThrow('4098 bytes; at most 4096');
  });
});

describe('SelectorSet', () => {
  it('is the same whatever the order and repetition', () => {
    const one = set('b:1', 'a:1', 'b:1');
    expect(one.texts).toEqual(['a:1', 'b:1']);
    expect(one.key).toBe(set('a:1', 'b:1').key);
    expect(one.size).toBe(2);
  });

  it('has a key that no other set has', () => {
    expect(set('a:1', 'b:2').key).not.toBe(set('a:1b:2').key);
    expect(set('a:13:b:2').key).not.toBe(set('a:1', 'b:2').key);
    expect(set().key).toBe('');
  });

  it('tells membership and inclusion', () => {
    const all = set('a:1', 'b:2');
    expect(all.has('a:1')).toBe(true);
    expect(all.has('a')).toBe(false);
    expect(all.includesAll(['b:2', 'a:1'])).toBe(true);
    expect(all.includesAll([])).toBe(true);
    expect(all.includesAll(['a:1', 'c:3'])).toBe(false);
  });
});
