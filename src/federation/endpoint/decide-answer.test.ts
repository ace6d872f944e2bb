import { describe, expect, it } from 'vitest';
import { decideAnswer, type EndpointRequest } from './decide-answer.ts';
import { buildEntityTag } from './entity-tag.ts';

const body = Buffer.from('{"keys":[]}');
const entityTag = buildEntityTag(body);
const documents = new Map([['/', () => ({ body, entityTag, maxAgeSeconds: 300 })]]);

function answer(request: Partial<EndpointRequest> = {}) {
  return decideAnswer(
    { method: 'GET', target: '/', ifNoneMatch: undefined, ...request },
    documents,
  );
}

it('is the document, with its type, length, tag and age (FED-12)', () => {
  expect(answer()).toEqual({
    status: 200,
    headers: {
      'content-type': 'application/json',
      'content-length': '11',
      'cache-control': 'max-age=300',
      etag: entityTag,
    },
    body,
  });
});

it('is the same to HEAD, without the document (FED-12)', () => {
  expect(answer({ method: 'HEAD' })).toEqual({ ...answer(), body: new Uint8Array() });
});

it.each(['GET', 'HEAD'])('is that nothing has changed, to %s with the tag', (method) => {
  expect(answer({ method, ifNoneMatch: `"x", ${entityTag}` })).toEqual({
    status: 304,
    headers: { 'cache-control': 'max-age=300', etag: entityTag },
    body: new Uint8Array(),
  });
});

it.each(['POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'get'])(
  'refuses %s, and says what there is (FED-12)',
  (method) => {
    const { status, headers } = answer({ method, ifNoneMatch: '*' });
    expect([status, headers['allow']]).toEqual([405, 'GET, HEAD']);
  },
);

describe('the path', () => {
  it.each(['/', '/?', '/?x=/y', 'https://a.test/', 'https://a.test', 'HTTPS://a.test:8443/?x'])(
    'is that of %s',
    (target) => expect(answer({ target }).status).toBe(200),
  );

  it.each([
    '',
    '*',
    '//',
    '/.',
    '/x',
    '/%2f',
    '/#',
    '\\',
    'a.test:443',
    'ftp://a.test/',
    'https:/',
  ])('is not that of %j', (target) => expect(answer({ target }).status).toBe(404));
});
