import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import { connect } from 'node:tls';
import {
  calculateJwkThumbprint,
  type FlattenedJWSInput,
  flattenedVerify,
  importJWK,
  type JWK,
} from 'jose';
import { encodePem } from '../../src/spiffe/index.ts';
import * as oracle from '../oracles/x509.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from './test-certificates.ts';
import { asPem, makeIdentity } from './tls-place.ts';

const ACME_IDENTIFIER = '1.3.6.1.5.5.7.1.31';

/** What a test wants to be different. */
export interface AcmeServerOptions {
  /** Where a domain name is reached as port 443. */
  readonly reach: () => number;
  readonly now: () => number;
  readonly lifeMs?: number;
}

interface Authorization {
  readonly name: string;
  readonly token: string;
  status: string;
  error?: object;
}

interface Order {
  readonly names: readonly string[];
  status: string;
  chain?: string;
}

class Refusal extends Error {
  readonly status: number;
  readonly type: string;
  readonly headers: Record<string, string>;
  constructor(status: number, type: string, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.status = status;
    this.type = `urn:ietf:params:acme:error:${type}`;
    this.headers = headers;
  }
}

/**
 * An ACME authority as RFC 8555 and RFC 8737 have it, for one authorization and one certificate per
 * name: nonces are spent once, each request's signature, URL and account are checked with jose, a
 * name is validated by connecting to it with the ALPN protocol `acme-tls/1`.
 */
export class AcmeServer {
  readonly authority: TestCertificate;
  /** Of the next answers to new orders, first one first. */
  readonly nextRefusals: { status: number; type: string; retryAfter?: string }[] = [];
  /** Paths that were posted to. */
  readonly posted: string[] = [];
  readonly contacts: unknown[] = [];
  /** How many of the next nonces are not accepted. */
  staleNonces = 0;
  challengeTypes: readonly string[] = ['http-01', 'tls-alpn-01', 'dns-01'];
  directoryMeta: object = { termsOfService: 'https://acme.test/terms' };
  /** In place of the names that were asked for. */
  issuedNames: readonly string[] | undefined;
  /** Polls of an order or authorization before it moves on. */
  slowness = 1;
  certificates = 0;
  readonly #options: AcmeServerOptions;
  readonly #server: Server;
  readonly #nonces = new Set<string>();
  readonly #accounts = new Map<string, JWK>();
  readonly #authorizations = new Map<string, Authorization>();
  readonly #orders = new Map<string, Order>();
  readonly #polls = new Map<string, number>();
  url = '';

  private constructor(options: AcmeServerOptions, authority: TestCertificate, server: Server) {
    this.#options = options;
    this.authority = authority;
    this.#server = server;
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(options: AcmeServerOptions): Promise<AcmeServer> {
    const validity = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 3_600_000 };
    const authority = await makeAuthority({ subject: 'CN=ACME', uris: [], ...validity });
    const identity = await makeIdentity({
      issuer: authority,
      uris: [],
      dns: ['localhost'],
      ...validity,
    });
    const acme = new AcmeServer(options, authority, createServer(asPem(identity)));
    acme.#server.listen(0, 'localhost');
    await once(acme.#server, 'listening');
    const address = acme.#server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    acme.url = `https://localhost:${port}`;
    return acme;
  }

  get directoryUrl(): string {
    return `${this.url}/directory`;
  }

  /** PEM of what vouches for its own certificate. */
  get ca(): string {
    return encodePem('CERTIFICATE', this.authority.der);
  }

  get accounts(): number {
    return this.#accounts.size;
  }

  /** Every name has to be proved again. */
  forget(): void {
    this.#authorizations.clear();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const nonce = randomBytes(8).toString('base64url');
    this.#nonces.add(nonce);
    response.setHeader('replay-nonce', nonce);
    response.setHeader('cache-control', 'no-store');
    try {
      await this.#route(request, response);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { status, type, message: detail, headers } = error;
      response.writeHead(status, { 'content-type': 'application/problem+json', ...headers });
      response.end(JSON.stringify({ type, detail, status }));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? '';
    if (request.method === 'GET' && path === '/directory') {
      const at = (name: string) => `${this.url}/${name}`;
      const urls = { newNonce: at('nonce'), newAccount: at('account'), newOrder: at('order') };
      return send(response, 200, { ...urls, revokeCert: at('revoke'), meta: this.directoryMeta });
    }
    if (request.method === 'HEAD' && path === '/nonce') return void response.writeHead(200).end();
    if (request.method !== 'POST') throw new Refusal(405, 'malformed', 'only POST');
    if (request.headers['content-type'] !== 'application/jose+json')
      throw new Refusal(415, 'malformed', 'not a JWS');
    const { payload, account } = await this.#verify(request, path);
    this.posted.push(path);
    if (path === '/account') return this.#newAccount(response, payload, account);
    if (path === '/order') return this.#newOrder(response, payload);
    const [, kind = '', id = ''] = path.split('/');
    if (kind === 'authz') return this.#readAuthorization(response, id, path);
    if (kind === 'challenge') return await this.#validate(response, id, account);
    if (kind === 'orders') return this.#readOrder(response, id, path);
    if (kind === 'finalize') return await this.#finalize(response, id, payload);
    const chain = this.#orders.get(id)?.chain;
    if (kind !== 'certificate' || chain === undefined) throw new Refusal(404, 'malformed', path);
    response.writeHead(200, { 'content-type': 'application/pem-certificate-chain' }).end(chain);
  }

  async #verify(request: IncomingMessage, path: string) {
    const jws: FlattenedJWSInput = JSON.parse(await readAll(request));
    const header = JSON.parse(Buffer.from(jws.protected ?? '', 'base64url').toString());
    const isSpent = !this.#nonces.delete(header.nonce);
    if (isSpent || this.staleNonces > 0) {
      this.staleNonces = Math.max(0, this.staleNonces - 1);
      throw new Refusal(400, 'badNonce', 'spent or unknown');
    }
    if (header.url !== `${this.url}${path}`) throw new Refusal(401, 'unauthorized', 'other URL');
    const isNew = path === '/account';
    if (isNew === (header.jwk === undefined) || isNew === (header.kid !== undefined))
      throw new Refusal(400, 'malformed', 'jwk and kid exclude each other');
    const jwk: JWK | undefined = isNew ? header.jwk : this.#accounts.get(header.kid);
    if (jwk === undefined) throw new Refusal(400, 'accountDoesNotExist', String(header.kid));
    const key = await importJWK(jwk, 'ES256');
    const { payload } = await flattenedVerify(jws, key, { algorithms: ['ES256'] });
    const text = Buffer.from(payload).toString();
    return { payload: text === '' ? undefined : JSON.parse(text), account: jwk };
  }

  #newAccount(response: ServerResponse, payload: unknown, jwk: JWK): void {
    const { termsOfServiceAgreed, contact } = Object(payload);
    if (termsOfServiceAgreed !== true)
      throw new Refusal(403, 'userActionRequired', 'the terms were not accepted');
    this.contacts.push(contact);
    const location = `${this.url}/accounts/${createHash('sha256').update(JSON.stringify(jwk)).digest('base64url')}`;
    const isKnown = this.#accounts.has(location);
    this.#accounts.set(location, jwk);
    send(response, isKnown ? 200 : 201, { status: 'valid' }, { location });
  }

  #newOrder(response: ServerResponse, payload: unknown): void {
    const refusal = this.nextRefusals.shift();
    if (refusal !== undefined) {
      const { status, type, retryAfter } = refusal;
      throw new Refusal(
        status,
        type,
        'not now',
        retryAfter === undefined ? {} : { 'retry-after': retryAfter },
      );
    }
    const identifiers: { value: string }[] = Object(payload).identifiers;
    const names = identifiers.map(({ value }) => value);
    for (const name of names) {
      const known = this.#authorizations.get(name);
      if (known !== undefined && known.status !== 'invalid') continue;
      const token = randomBytes(16).toString('base64url');
      this.#authorizations.set(name, { name, token, status: 'pending' });
    }
    const id = randomBytes(8).toString('hex');
    this.#orders.set(id, { names, status: 'pending' });
    send(response, 201, this.#orderMessage(id), { location: `${this.url}/orders/${id}` });
  }

  #readAuthorization(response: ServerResponse, name: string, path: string): void {
    const authorization = this.#authorizations.get(name);
    if (authorization === undefined) throw new Refusal(404, 'malformed', path);
    const { token, status, error } = authorization;
    const challenges = this.challengeTypes.map((type) => ({
      type,
      url: `${this.url}/challenge/${name}`,
      token,
      status,
      error,
    }));
    const shown = status === 'pending' || !this.#isDue(path) ? 'pending' : status;
    send(response, 200, { status: shown, identifier: { type: 'dns', value: name }, challenges });
  }

  async #validate(response: ServerResponse, name: string, account: JWK): Promise<void> {
    const authorization = this.#authorizations.get(name);
    if (authorization === undefined) throw new Refusal(404, 'malformed', name);
    send(response, 200, { status: 'processing' });
    const thumbprint = await calculateJwkThumbprint(account);
    const why = await this.#whyNot(name, `${authorization.token}.${thumbprint}`);
    authorization.status = why === undefined ? 'valid' : 'invalid';
    const type = 'urn:ietf:params:acme:error:unauthorized';
    if (why !== undefined) authorization.error = { type, detail: why };
  }

  /** RFC 8737, section 3. */
  async #whyNot(name: string, keyAuthorization: string): Promise<string | undefined> {
    const socket = connect({
      host: '127.0.0.1',
      port: this.#options.reach(),
      servername: name,
      ALPNProtocols: ['acme-tls/1'],
      rejectUnauthorized: false,
    });
    try {
      await once(socket, 'secureConnect');
    } catch (error) {
      return String(error);
    }
    const { alpnProtocol } = socket;
    const { raw } = socket.getPeerCertificate();
    socket.on('error', () => {}).destroy();
    if (alpnProtocol !== 'acme-tls/1') return 'another protocol was chosen';
    const shown = new oracle.X509Certificate(new Uint8Array(raw));
    const names = shown.getExtension(oracle.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
    if (JSON.stringify(names) !== JSON.stringify([{ type: 'dns', value: name }]))
      return `it is for ${JSON.stringify(names)}`;
    const proof = shown.getExtension(ACME_IDENTIFIER);
    if (proof?.critical !== true) return 'there is no critical acmeIdentifier';
    const digest = createHash('sha256').update(keyAuthorization).digest();
    const expected = Buffer.concat([Uint8Array.of(4, 32), digest]);
    return expected.equals(new Uint8Array(proof.value)) ? undefined : 'the proof is another one';
  }

  #readOrder(response: ServerResponse, id: string, path: string): void {
    const order = this.#orders.get(id);
    if (order === undefined) throw new Refusal(404, 'malformed', path);
    const states = order.names.map((name) => this.#authorizations.get(name)?.status);
    if (order.status === 'pending' && states.every((state) => state === 'valid'))
      order.status = 'ready';
    if (order.status === 'processing' && this.#isDue(path)) order.status = 'valid';
    send(response, 200, this.#orderMessage(id), { 'retry-after': '2' });
  }

  async #finalize(response: ServerResponse, id: string, payload: unknown): Promise<void> {
    const order = this.#orders.get(id);
    if (order?.status !== 'ready') throw new Refusal(403, 'orderNotReady', String(order?.status));
    const csr = new oracle.Pkcs10CertificateRequest(
      Buffer.from(String(Object(payload).csr), 'base64url'),
    );
    const extension = csr.getExtension('2.5.29.17');
    const asked =
      extension === null
        ? []
        : new oracle.SubjectAlternativeNameExtension(extension.rawData).names.toJSON();
    const wanted = order.names.map((value) => ({ type: 'dns', value }));
    if (!(await csr.verify()) || JSON.stringify(asked) !== JSON.stringify(wanted))
      throw new Refusal(400, 'badCSR', JSON.stringify(asked));
    const now = this.#options.now();
    const publicKey = await csr.publicKey.export();
    const leaf = await makeCertificate({
      issuer: this.authority,
      subject: `CN=${order.names[0]}`,
      uris: [],
      dns: this.issuedNames ?? order.names,
      notBefore: now,
      notAfter: now + (this.#options.lifeMs ?? 90 * 86_400_000),
      keys: { publicKey, privateKey: this.authority.keys.privateKey },
    });
    this.certificates++;
    order.chain = encodePem('CERTIFICATE', leaf.der) + this.ca;
    order.status = 'processing';
    send(response, 200, this.#orderMessage(id));
  }

  #orderMessage(id: string): object {
    const order = this.#orders.get(id);
    return {
      status: order?.status,
      authorizations: order?.names.map((name) => `${this.url}/authz/${name}`),
      finalize: `${this.url}/finalize/${id}`,
      ...(order?.status === 'valid' && { certificate: `${this.url}/certificate/${id}` }),
    };
  }

  #isDue(path: string): boolean {
    const polls = (this.#polls.get(path) ?? 0) + 1;
    this.#polls.set(path, polls);
    return polls > this.slowness;
  }
}

/** The DNS names of the leaf of a chain in DER. */
export function dnsNamesOf(chain: readonly Uint8Array[]): string {
  const [leaf = new Uint8Array()] = chain;
  return new X509Certificate(leaf).subjectAltName ?? '';
}

function send(
  response: ServerResponse,
  status: number,
  body: object,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

async function readAll(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString();
}
