import { expect, it } from 'vitest';
import { buildEntityTag, namesEntityTag } from './entity-tag.ts';

const tag = buildEntityTag(Buffer.from('{}'));

it('is a strong tag that differs with the bytes', () => {
  expect(tag).toMatch(/^"[A-Za-z0-9_-]{43}"$/);
  expect(buildEntityTag(Buffer.from('{}'))).toBe(tag);
  expect(buildEntityTag(Buffer.from('[]'))).not.toBe(tag);
});

it.each([
  ['itself', tag],
  ['itself, weak, as a cache that compressed the answer writes it', `W/${tag}`],
  ['a list with others', `"x", W/"y", ${tag}`],
  ['a list with others behind it', `${tag},"y"`],
  ['empty members of a list', ` , ,${tag} , `],
  ['a tag with commas in a list', `"a,b", ${tag}`],
  ['anything', ' * '],
])('is named by %s', (_what, field) => {
  expect(namesEntityTag(field, tag)).toBe(true);
});

it.each([
  ['nothing', undefined],
  ['an empty field', ''],
  ['another', '"x"'],
  ['itself without quotes', tag.slice(1, -1)],
  ['the letter w in lower case', `w/${tag}`],
  ['a list with something that is no tag', `x, ${tag}`],
  ['a list that goes on with something that is no tag', `${tag}, x`],
  ['two without a comma', `"x" ${tag}`],
  ['an asterisk in a list', `*, ${tag}`],
  ['a tag without end', tag.slice(0, -1)],
])('is not named by %s', (_what, field) => {
  expect(namesEntityTag(field, tag)).toBe(false);
});
