import { describe, expect, it } from 'vitest';
import { readPlainYaml } from './plain-yaml.ts';

const policy = `# who may do what
apiVersion: trustplane/v1
metadata: { name: p, "owner": 'me' }

rules:   # two of them
- id: a
  from: [spiffe://example.org/ns/*/sa/a, "b c"]
  when:
    headers: { x-y: "1" }
    list:
      - 10.0.0.0/8   # ours
      - { a: 1, b: [true] }
- id: it's
`;

describe('YAML that is plainly written', () => {
  it('is read as it is meant', () => {
    expect(readPlainYaml(policy)).toEqual({
      value: {
        apiVersion: 'trustplane/v1',
        metadata: { name: 'p', owner: 'me' },
        rules: [
          {
            id: 'a',
            from: ['spiffe://example.org/ns/*/sa/a', 'b c'],
            when: { headers: { 'x-y': '1' }, list: ['10.0.0.0/8', { a: 1, b: [true] }] },
          },
          { id: "it's" },
        ],
      },
    });
    const json = JSON.stringify(readPlainYaml(policy)?.value, null, 2);
    expect(readPlainYaml(json)).toEqual(readPlainYaml(policy));
  });

  it.each([
    ['a key twice', 'a: 1\na: 2\n'],
    ['a merge key', '<<: { a: 1 }\n'],
    ['__proto__', '{ "__proto__": 1 }'],
    ['nothing', 'a:\n'],
    ['null', 'a: null\n'],
    ['a number with a point', 'a: 1.5\n'],
    ['a text of several lines', 'a: b\n  c\n'],
    ['a block', 'a: |\n  b\n'],
    ['an alias', 'a: *b\n'],
    ['a mark of order', '\uFEFFa: 1\n'],
    ['a space that is none', 'a: b\u2003\n'],
    ['a tab', 'a:\t1\n'],
    ['an escape', 'a: "\\n"\n'],
    ['two documents', 'a: 1\n---\nb: 1\n'],
    ['deep brackets', `a: ${'['.repeat(50)}${']'.repeat(50)}\n`],
    ['half an indent', 'a:\n   - b\n  - c\n'],
    ['a list', '- a\n'],
    ['no text', ''],
  ])('%s is left to who reads all of YAML', (_, text) => {
    expect(readPlainYaml(text)).toBeUndefined();
  });
});
