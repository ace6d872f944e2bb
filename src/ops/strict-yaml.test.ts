import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkDocument } from './checked-document.ts';
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
    ['a: 1\na: 2\n', 'c.yaml:2:1: the key a stands here a second time'],
    ['a: &x 1\nb: *x\n', 'c.yaml:2:4: aliases (*name) are not allowed'],
    ['<<: {a: 1}\n', 'c.yaml:1:1: merge keys (<<) are not allowed'],
    ['a: !thing 1\n', 'c.yaml:1:4: Unresolved tag: !thing'],
    ['a: 1\n---\nb: 2\n', 'c.yaml:2:1: a second document begins here; a file has one'],
    ['%YAML 1.1\n---\na: 1\n', 'c.yaml:1:1: directives'],
    ['a: { __proto__: 1 }\n', 'c.yaml:1:6: the key __proto__ is not allowed'],
    [`a: ${'['.repeat(101)}`, 'c.yaml:1:104: is nested too deeply'],
    [`${'- '.repeat(100)}a`, 'c.yaml:1:129: is nested too deeply'],
    [`${'? '.repeat(100)}a`, 'c.yaml:1:129: is nested too deeply'],
    [`a: ' # '\nb: ${'{ b: '.repeat(101)}`, 'c.yaml:2:504: is nested too deeply'],
    ['a: [1\n', 'c.yaml:2:1: Flow sequence'],
  ])('refuses %j', (text, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code: 'ERR_YAML', message: expect.stringContaining(message) }),
    );
  });

  it('takes brackets and dashes in texts and comments for what they are', () => {
    const marks = `${'[{'.repeat(150)} ${'- '.repeat(150)}`;
    const text = `# ${marks}\na: "${marks}"\nb: |\n  ${marks}\n  [\nc: x${'['.repeat(150)}\nd: '${marks}'\n`;
    expect(parse(text).value).toEqual({
      a: marks,
      b: `${marks}\n[\n`,
      c: `x${'['.repeat(150)}`,
      d: marks,
    });
  });

  it('refuses more than 1 MiB', () => {
    expect(() => parse(`a: ${'x'.repeat(1_048_576)}`)).toThrow(/at most 1048576 are read/u);
  });

  it('reads yes, on and 012 as YAML 1.2 does', () => {
    expect(parse('[yes, on, 012]').value).toEqual(['yes', 'on', 12]);
  });
});

describe('variables', () => {
  const env = { NAME: 'prod.example', SIZE: '12', YES: 'true', MAP: '{ a: 1 }', SECRET: 'hunter2' };
  const valueOf = (text: string) => parseStrictYaml(text, 'c.yaml', env).value;

  it('are replaced in values alone', () => {
    expect(valueOf('${NAME}: ${NAME} # ${NAME}\nb: ["x ${NAME}"]\n')).toEqual({
      '${NAME}': 'prod.example',
      b: ['x prod.example'],
    });
  });

  it('make numbers and truths where there are no quotes, and never anything more', () => {
    expect(valueOf('a: ${SIZE}\nb: "${SIZE}"\nc: ${YES}\nd: ${MAP}\ne: ${X:-}\n')).toEqual({
      a: 12,
      b: '12',
      c: true,
      d: '{ a: 1 }',
      e: '',
    });
  });

  it.each([
    ['a: 1\nb: ${NONE}\n', 'c.yaml:2:4: the environment variable NONE is not set'],
    ['b: "x${NONE}"\n', 'c.yaml:1:6: the environment variable NONE is not set'],
    ['b: y${NA\n', 'c.yaml:1:5: expected ${NAME}'],
  ])('that cannot be replaced in %j are refused with their place', (text, message) => {
    expect(() => valueOf(text)).toThrow(
      expect.objectContaining({ code: 'ERR_YAML', message: expect.stringContaining(message) }),
    );
  });

  it('are left alone where no environment is given', () => {
    expect(parse('a: ${NAME}\n').value).toEqual({ a: '${NAME}' });
  });

  it('are named in errors, and their values are not shown', () => {
    const schema = z.strictObject({
      size: z.int(),
      kind: z.enum(['a', 'b']),
      name: z.string().transform((text, context) => {
        context.addIssue({ code: 'custom', message: `${text} is no name` });
        return z.NEVER;
      }),
    });
    const text = 'size: ${SECRET}\nkind: "${SECRET}"\nname: ${SECRET}\n';
    expect(() => checkDocument(parseStrictYaml(text, 'c.yaml', env), schema)).toThrow(
      [
        'c.yaml:1:7: size: expected a number, got one from ${SECRET}',
        'c.yaml:2:7: kind: expected "a" or "b", got one from ${SECRET}',
        'c.yaml:3:7: name: expected another value, got one from ${SECRET}',
      ].join('\n'),
    );
  });
});
