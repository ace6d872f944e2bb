import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { createServer as createTcpServer, type Server } from 'node:net';
import { TLSSocket } from 'node:tls';
import { onTestFinished } from 'vitest';
import { type Bundle, encodePem, serializeBundleDocument } from '../../src/spiffe/index.ts';
import type { TlsIdentity } from '../../src/wire/index.ts';
import {
  bundleOf,
  makeAuthority,
  type TestCertificate,
  type TestCertificateOptions,
} from './test-certificates.ts';
import { asPem, makeIdentity } from './tls-place.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** Certificates for the web are judged by the machine's own clock. */
const validNow = () => ({ notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 86_400_000 });

/** A foreign trust domain with an authority of its own. */
export class ForeignDomain {
  readonly name: string;
  readonly authority: TestCertificate;

  private constructor(name: string, authority: TestCertificate) {
    this.name = name;
    this.authority = authority;
  }

  static async create(name: string): Promise<ForeignDomain> {
    const uris = [`spiffe://${name}`];
    return new ForeignDomain(
      name,
      await makeAuthority({ subject: `CN=${name}`, uris, ...validNow() }),
    );
  }

  get serverId(): string {
    return `spiffe://${this.name}/spire/server`;
  }

  bundle(more: Partial<Bundle> = {}): Bundle {
    return { ...bundleOf(this.name, this.authority), ...more };
  }

  async svid(id: string = this.serverId, more: TestCertificateOptions = {}): Promise<TlsIdentity> {
    return await makeIdentity({ issuer: this.authority, uris: [id], ...validNow(), ...more });
  }
}

/** A private authority of Web PKI. */
export class WebAuthority {
  readonly authority: TestCertificate;

  private constructor(authority: TestCertificate) {
    this.authority = authority;
  }

  static async create(): Promise<WebAuthority> {
    return new WebAuthority(await makeAuthority({ subject: 'CN=web', uris: [], ...validNow() }));
  }

  get pem(): string {
    return encodePem('CERTIFICATE', this.authority.der);
  }

  async identity(name: string, more: TestCertificateOptions = {}): Promise<TlsIdentity> {
    const subject = `CN=${name}`;
    const names = { subject, uris: [], dns: [name] };
    return await makeIdentity({ issuer: this.authority, ...names, ...validNow(), ...more });
  }
}

/** A real HTTPS server on the loopback interface that answers what a test says. */
export class BundleEndpoint {
  /** Replaced by tests. */
  answer: Answer;
  /** Headers of each request. */
  readonly requests: IncomingHttpHeaders[] = [];
  /** TLS sessions that were resumed. */
  resumed = 0;
  readonly port: number;

  private constructor(port: number, answer: Answer) {
    this.port = port;
    this.answer = answer;
  }

  static async open(identity: TlsIdentity, answer: Answer): Promise<BundleEndpoint> {
    const server = createHttpsServer(asPem(identity));
    const endpoint = new BundleEndpoint(await listen(server), answer);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      endpoint.requests.push(request.headers);
      if (request.socket instanceof TLSSocket && request.socket.isSessionReused())
        endpoint.resumed++;
      endpoint.answer(request, response);
    });
    server.on('connection', (socket) => onTestFinished(() => void socket.destroy()));
    return endpoint;
  }

  url(host = '127.0.0.1'): string {
    return `https://${host}:${this.port}/bundle`;
  }
}

/** Somebody who accepts connections and never says a word. */
export async function openBlackHole(): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.resume();
    onTestFinished(() => void socket.destroy());
  });
  return `https://127.0.0.1:${await listen(server)}/`;
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

export const answerWith =
  (document: Bundle | string | Uint8Array, headers: Record<string, string> = {}): Answer =>
  (_, response) => {
    const body =
      typeof document === 'object' && 'trustDomain' in document
        ? serializeBundleDocument(document)
        : document;
    response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(body);
  };

export const redirectTo =
  (location: string, status = 302): Answer =>
  (_, response) =>
    void response.writeHead(status, { location }).end();
