import { expect, it } from 'vitest';
import { bodyBytesOf } from './body-size.ts';

interface Sent {
  readonly method?: string;
  readonly hasBody?: boolean;
  readonly lines?: Readonly<Record<string, readonly string[]>>;
  readonly extension?: string;
}

function bodyOf({ method = 'POST', hasBody = false, lines = {}, extension }: Sent) {
  const contextExtensions = new Map(
    extension === undefined ? [] : [['trustplane.body', extension]],
  );
  const http = {
    method,
    target: '/',
    host: 'a',
    hasBody,
    headers: (name: string) => lines[name] ?? [],
  };
  return bodyBytesOf({ http, contextExtensions });
}

it.each<[string, Sent, number | undefined]>([
  ['Content-Length', { lines: { 'content-length': ['5'] } }, 5],
  ['Content-Length 0', { lines: { 'content-length': ['0'] } }, 0],
  ['two lines of it', { lines: { 'content-length': ['5', '5'] } }, undefined],
  ['one that is no number', { lines: { 'content-length': ['5x'] } }, undefined],
  ['nothing, of a proxy that does not wait', {}, undefined],
  ['nothing, of a proxy that waits', { extension: 'buffered' }, 0],
  ['another word of the route', { extension: 'yes' }, undefined],
  ['a piece that may go on', { extension: 'buffered', hasBody: true }, undefined],
  [
    'an upgrade',
    { extension: 'buffered', lines: { upgrade: ['websocket'], 'content-length': ['0'] } },
    undefined,
  ],
  ['CONNECT', { method: 'CONNECT', extension: 'buffered' }, undefined],
])('knows the size of a body by %s: %#', (_, sent, bytes) => {
  expect(bodyOf(sent)).toBe(bytes);
});
