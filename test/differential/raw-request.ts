import type { CertificateShapes } from './certificate-shapes.ts';
import { tokenOf } from './judged-parts.ts';
import type { Asked } from './random-questions.ts';
import type { Http2Request } from './raw-http2-client.ts';

type Line = readonly [name: string, value: string];

/** The bytes of a request of HTTP/1.1. */
export function requestOf(
  route: string,
  asked: Asked,
  shapes: CertificateShapes,
  more: readonly Line[] = [],
): string {
  const { method, target, host } = httpOf(asked);
  const { sent } = asked;
  const headers = [
    ['host', host],
    ...(sent.how === 'chunked' ? [['transfer-encoding', 'chunked']] : []),
    ...linesOf(route, asked, shapes),
    ...more,
  ];
  const head = `${method} ${target} HTTP/1.1\r\n${headers.map((line) => line.join(': ')).join('\r\n')}\r\n\r\n`;
  return `${head}${bodyOf(sent)}`;
}

/** The same by HTTP/2. */
export function http2RequestOf(
  route: string,
  asked: Asked,
  shapes: CertificateShapes,
  more: readonly Line[] = [],
): Http2Request {
  const { method, target, host } = httpOf(asked);
  const { octets, how } = asked.sent;
  const lines = [...linesOf(route, asked, shapes), ...more];
  return {
    method,
    path: target,
    authority: host,
    lines,
    body: how === 'none' ? '' : 'x'.repeat(octets),
  };
}

function httpOf({ http }: Asked): NonNullable<Asked['http']> {
  if (http === undefined) throw new Error('there is no request');
  return http;
}

function linesOf(route: string, asked: Asked, { tokens }: CertificateShapes): readonly Line[] {
  const { claims, shows = '' } = asked;
  const token = tokens.get(shows);
  return [
    ['x-case', route],
    ...(claims === undefined ? [] : [['x-token', tokenOf(claims)] as const]),
    ...(token === undefined ? [] : [['authorization', `Bearer ${token}`] as const]),
    ...httpOf(asked).lines,
  ];
}

function bodyOf({ octets, how }: Asked['sent']): string {
  const body = 'x'.repeat(octets);
  if (how !== 'chunked') return how === 'none' ? '' : body;
  return `${octets === 0 ? '' : `${octets.toString(16)}\r\n${body}\r\n`}0\r\n\r\n`;
}
