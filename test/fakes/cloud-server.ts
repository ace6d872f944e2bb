import { webcrypto } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { encodePem } from '../../src/spiffe/index.ts';
import { makeCertificate } from './test-certificates.ts';

export interface CloudRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface CloudReply {
  readonly status: number;
  readonly body?: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What goes wrong at the far side: it hangs, talks nonsense, never ends, sends elsewhere, or has a bad day. */
export type CloudFault = 'hang' | 'garbage' | 'flood' | 'redirect' | 'reset' | number;

/** A service of a cloud that runs here. */
export interface CloudServer extends AsyncDisposable {
  /** `http://127.0.0.1:port`, or `https://localhost:port` */
  readonly origin: string;
  /** Method and path of every request. */
  readonly calls: string[];
  /** How many bytes of the last flood were sent. */
  readonly flooded: () => number;
  /** What is wrong from now on with paths that have this text; undefined: nothing any more. */
  break(fault: CloudFault | undefined, path?: string): void;
}

const FLOOD_BYTES = 100 * 1024 * 1024;
const CHUNK = Buffer.alloc(65_536, 0x20);

/** PEM of the authority of all that speak TLS, and what a server shows. */
export async function makeCloudTls() {
  const life = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 };
  const root = await makeCertificate({ isCa: true, uris: [], extendedKeyUsage: null, ...life });
  const names = { subject: 'CN=localhost', uris: [], dns: ['localhost'] };
  const certificate = await makeCertificate({ issuer: root, ...names, ...life });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', certificate.keys.privateKey);
  return {
    authority: encodePem('CERTIFICATE', root.der),
    cert: encodePem('CERTIFICATE', certificate.der),
    key: encodePem('PRIVATE KEY', new Uint8Array(pkcs8)),
  };
}

/** Serves `answer`, over TLS where there is `tls`. */
export async function startCloudServer(
  answer: (request: CloudRequest) => CloudReply | Promise<CloudReply>,
  tls?: { readonly cert: string; readonly key: string },
): Promise<CloudServer> {
  const calls: string[] = [];
  let broken: { readonly fault: CloudFault; readonly path: string } | undefined;
  let flooded = 0;
  const flood = function* (): Iterable<Buffer> {
    for (flooded = 0; flooded < FLOOD_BYTES; flooded += CHUNK.length) yield CHUNK;
  };
  const listener: RequestListener = (request, response) => {
    const respond = async (): Promise<void> => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(Buffer.from(chunk));
      const { method = '', url: path = '', headers } = request;
      calls.push(`${method} ${path}`);
      const fault = broken !== undefined && path.includes(broken.path) ? broken.fault : undefined;
      if (fault === 'hang') return;
      if (fault === 'reset') return void request.socket.destroy();
      if (fault === 'redirect') return void response.writeHead(302, { Location: '/other' }).end();
      if (fault === 'garbage') return void response.end('<\u0000\u0001{garbage');
      if (typeof fault === 'number') return void response.writeHead(fault).end('{"error":"busy"}');
      if (fault === 'flood') return await pipeline(flood(), response);
      const reply = await answer({ method, path, headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(reply.status, reply.headers).end(reply.body);
    };
    respond().catch(() => response.destroy());
  };
  const server = tls === undefined ? createServer(listener) : createTlsServer({ ...tls }, listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  return {
    origin: tls === undefined ? `http://127.0.0.1:${port}` : `https://localhost:${port}`,
    calls,
    flooded: () => flooded,
    break(fault, path = '') {
      broken = fault === undefined ? undefined : { fault, path };
    },
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
