import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { type Log, limitLog, type Metrics } from '../../ops/index.ts';
import { type Clock, messageOf, type TrustMapSource } from '../../spiffe/index.ts';
import { type HttpsLimits, type HttpsServer, serveHttps } from '../../wire/https-server.ts';
import type { TlsIdentity } from '../../wire/index.ts';
import { decideAnswer, type EndpointAnswer, failedAnswer } from './decide-answer.ts';
import {
  createEndpointDocuments,
  type EndpointPaths,
  type ReadDocument,
} from './endpoint-documents.ts';

/** What is handed to TLS at once, which makes a copy of it. */
const CHUNK_BYTES = 65_536;

export interface BundleEndpointOptions extends EndpointPaths {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly trust: Pick<TrustMapSource, 'current'>;
  /** What it shows; a new object is shown from the next connection on. What it throws refuses the connection. */
  identity(): TlsIdentity;
  /** What an ACME authority is to see while it validates. Default: none. */
  acmeChallenge?(): TlsIdentity | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly limits?: HttpsLimits;
}

export interface BundleEndpointServer extends HttpsServer {
  /** Publishes this from now on. */
  publish(paths: EndpointPaths): void;
}

/**
 * Serves the bundle of the own trust domain to anybody (SPIFFE Federation §5), the newest at each
 * request, and bundle maps where they are wanted.
 * @throws TrustplaneError ERR_LISTEN
 */
export async function serveBundleEndpoint(
  options: BundleEndpointOptions,
): Promise<BundleEndpointServer> {
  let documents = createEndpointDocuments(options.trust, options);
  const log = limitLog(options.log, options.clock);
  const answers = options.metrics.counter(
    'trustplane_federation_endpoint_answers_total',
    'Answers of the bundle endpoint, by HTTP status.',
    ['status'],
  );
  for (const status of [200, 304]) answers.inc({ status }, 0);
  const server = await serveHttps({
    ...options,
    name: 'bundle-endpoint',
    identity: () => options.identity(),
    acmeChallenge: () => options.acmeChallenge?.(),
    onMalformed: (status) => answers.inc({ status }),
    answer(request, response) {
      const answer = answerTo(request, documents, log);
      answers.inc({ status: answer.status });
      send(request, response, answer);
    },
  });
  return {
    ...server,
    publish: (paths) => (documents = createEndpointDocuments(options.trust, paths)),
  };
}

function answerTo(
  { method = '', url = '', headers }: IncomingMessage,
  documents: ReadonlyMap<string, ReadDocument>,
  log: Log,
): EndpointAnswer {
  try {
    const ifNoneMatch = headers['if-none-match'];
    return decideAnswer({ method, target: url, ifNoneMatch }, documents);
  } catch (error) {
    log.error({ error: messageOf(error) }, 'the bundle endpoint could not answer');
    return failedAnswer;
  }
}

function send(
  request: IncomingMessage,
  response: ServerResponse,
  { status, headers, body }: EndpointAnswer,
): void {
  // What comes as a body is not read.
  if (hasBody(request)) response.setHeader('connection', 'close');
  response.writeHead(status, headers);
  if (body.length <= CHUNK_BYTES) response.end(body);
  else Readable.from(chunksOf(body)).pipe(response);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function* chunksOf(body: Uint8Array): Iterable<Uint8Array> {
  for (let at = 0; at < body.length; at += CHUNK_BYTES) yield body.subarray(at, at + CHUNK_BYTES);
}
