import { describe, expect, it } from 'vitest';
import { expandVariables } from './expand-variables.ts';

const env = { NAME: 'prod.example', EMPTY: '', DOLLARS: '${NAME} $& $$' };

describe('expandVariables', () => {
  it.each([
    ['no variable', 'no variable', []],
    ['${NAME}', 'prod.example', ['NAME']],
    ['a.${NAME}.b.${NAME}', 'a.prod.example.b.prod.example', ['NAME', 'NAME']],
    ['${EMPTY}', '', ['EMPTY']],
    ['${EMPTY:-x}', 'x', ['EMPTY']],
    ['${NONE:-x y:-z}', 'x y:-z', ['NONE']],
    ['${NONE:-}', '', ['NONE']],
    ['${NAME:-x}', 'prod.example', ['NAME']],
    ['$${NAME}', '${NAME}', []],
    ['$$$$', '$$', []],
    ['$NAME 5$', '$NAME 5$', []],
    ['${DOLLARS}', '${NAME} $& $$', ['DOLLARS']],
  ])('makes of %j %j', (text, expected, names) => {
    expect(expandVariables(text, env)).toEqual({ text: expected, names });
  });

  it.each([
    ['ab${NONE}', 2, 'the environment variable NONE is not set'],
    ['${}', 0, 'expected ${NAME} or ${NAME:-default}, got ${}'],
    ['x ${NAME', 2, 'got ${NAME'],
    ['${1A}', 0, 'got ${1A}'],
    ['${NAME-x}', 0, 'got ${NAME-x}'],
    ['${NA ME}', 0, 'got ${NA ME}'],
  ])('refuses %j at index %d', (text, index, message) => {
    expect(() => expandVariables(text, env)).toThrow(
      expect.objectContaining({ index, message: expect.stringContaining(message) }),
    );
  });
});
