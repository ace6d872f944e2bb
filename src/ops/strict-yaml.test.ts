import { describe, expect, it } from 'vitest';
import { parseStrictYaml } from './strict-yaml.ts';

const parse = (text: string) => parseStrictYaml(text, 'c.yaml');

describe('strict YAML', () => {
  it('says where a value, a key and a missing member stand', () => {
    const document = parse('a:\n  b: 1\n  list:\n    - x\n    - y\n');
    expect(document.position(['a', 'b'])).toEqual({ line: 2, column: 6 });
    expect(document.position(['a', 'b'], 'key')).toEqual({ line: 2, column: 3 });
    expect(document.position(['a', 'list', 1])).toEqual({ line: 5, column: 7 });
    expect(document.position(['a', 'nothing'])).toEqual({ line: 2, column: 3 });
  });

  it.each([
    ['a: 1\na: 2\n', 'c.yaml:2:1: Map keys must be unique'],
    ['a: &x 1\nb: *x\n', 'c.yaml:2:4: aliases (*name) are not allowed'],
    ['<<: {a: 1}\n', 'c.yaml:1:1: merge keys (<<) are not allowed'],
    ['a: !thing 1\n', 'c.yaml:1:4: Unresolved tag: !thing'],
    ['a: 1\n---\nb: 2\n', 'c.yaml:2:1: Source contains multiple documents'],
    ['a: [1\n', 'c.yaml:2:1: Flow sequence'],
  ])('refuses %j', (text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'ERR_YAML', message: expect.stringContaining(message) }),
    );
  });

  it('refuses more than 1 MiB', () => {
    expect(() => parse(`a: ${'x'.repeat(1_048_576)}`)).toThrow(/at most 1048576 are read/u);
  });

  it('reads yes, on and 012 as YAML 1.2 does', () => {
    expect(parse('[yes, on, 012]').value).toEqual(['yes', 'on', 12]);
  });
});
