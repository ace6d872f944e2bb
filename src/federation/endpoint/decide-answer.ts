import type { EndpointDocument, ReadDocument } from './endpoint-documents.ts';
import { namesEntityTag } from './entity-tag.ts';

/** What of a request an answer depends on. */
export interface EndpointRequest {
  readonly method: string;
  /** The target as it stands in the request line. */
  readonly target: string;
  readonly ifNoneMatch: string | undefined;
}

export interface EndpointAnswer {
  readonly status: 200 | 304 | 404 | 405 | 500;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty where there is none to send. */
  readonly body: Uint8Array;
}

const NOTHING = new Uint8Array();
const METHODS = ['GET', 'HEAD'];

/**
 * The answer to a request: GET and HEAD of a document, conditional by If-None-Match; 405 to other
 * methods, 404 to other paths. The query counts for nothing.
 * @throws what `ReadDocument` throws
 */
export function decideAnswer(
  { method, target, ifNoneMatch }: EndpointRequest,
  documents: ReadonlyMap<string, ReadDocument>,
): EndpointAnswer {
  const read = documents.get(pathOf(target));
  if (read === undefined) return refusal(404);
  if (!METHODS.includes(method)) return refusal(405, { allow: METHODS.join(', ') });
  const document = read();
  if (namesEntityTag(ifNoneMatch, document.entityTag)) {
    return { status: 304, headers: validators(document), body: NOTHING };
  }
  const headers = {
    ...validators(document),
    'content-type': 'application/json',
    'content-length': String(document.body.length),
  };
  return { status: 200, headers, body: method === 'HEAD' ? NOTHING : document.body };
}

function validators({ entityTag, maxAgeSeconds }: EndpointDocument): Record<string, string> {
  return { etag: entityTag, 'cache-control': `max-age=${maxAgeSeconds}` };
}

/** What is answered where `decideAnswer` threw. */
export const failedAnswer: EndpointAnswer = refusal(500);

function refusal(
  status: EndpointAnswer['status'],
  headers: Record<string, string> = {},
): EndpointAnswer {
  return { status, headers: { ...headers, 'content-length': '0' }, body: NOTHING };
}

/** Of an origin form or, as servers have to accept it, an absolute form (RFC 9112, section 3.2). */
function pathOf(target: string): string {
  const [beforeQuery = ''] = target.split('?', 1);
  const absolute = /^https?:\/\/[^/]*(\/.*)?$/iu.exec(beforeQuery);
  return absolute === null ? beforeQuery : (absolute[1] ?? '/');
}
