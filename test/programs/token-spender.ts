/**
 * A node that joins again and again, over HTTP on a Unix socket: `node token-spender.ts SOCKET`.
 * `/join?server=HOST:PORT&token=TOKEN` answers with the new agent's ID; `/use?server=HOST:PORT&agent=ID` has that
 * agent ask for its entries. What fails answers 409 with the error's code.
 */
import { createServer } from 'node:http';
import { Client, type ServiceError } from '@grpc/grpc-js';
import { buildCsr, generateP256KeyPair, TrustplaneError } from '../../src/spiffe/index.ts';
import { dialTls, ERROR_CODE_KEY, loadService, type TlsIdentity } from '../../src/wire/index.ts';

const DEADLINE_MS = 6_000;

interface AttestAnswer {
  readonly result?: {
    readonly svid: {
      readonly cert_chain: readonly Uint8Array[];
      readonly id: { readonly trust_domain: string; readonly path: string };
    };
  };
}

const identities = new Map<string, TlsIdentity>();

const [socket] = process.argv.slice(2);
createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://unix');
  const named = (name: string): string => searchParams.get(name) ?? '';
  const work =
    pathname === '/join'
      ? join(named('server'), named('token'))
      : use(named('server'), named('agent'));
  work.then(
    (answer) => response.end(answer),
    (error: unknown) => response.writeHead(409).end(codeOf(error)),
  );
}).listen(socket, () => console.log('ready'));

async function join(server: string, token: string): Promise<string> {
  const keys = generateP256KeyPair();
  const params = {
    data: { type: 'join_token', payload: Buffer.from(token) },
    params: { csr: buildCsr(keys) },
  };
  const { result } = await withClient(server, undefined, (client) => attest(client, params));
  if (result === undefined) throw new Error('attested without a result');
  const { cert_chain: certificateChain, id } = result.svid;
  const agent = `spiffe://${id.trust_domain}${id.path}`;
  identities.set(agent, { certificateChain, privateKey: keys.privateKey });
  return agent;
}

async function use(server: string, agent: string): Promise<string> {
  const identity = identities.get(agent);
  if (identity === undefined) throw new Error(`${agent} never joined`);
  const method = methodOf('entry/v1/entry.proto', 'entry.v1.Entry', 'GetAuthorizedEntries');
  return await withClient(server, identity, async (client) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const { path, requestSerialize, responseDeserialize } = method;
    const options = { deadline: Date.now() + DEADLINE_MS };
    client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      {},
      options,
      (error: ServiceError | null) => (error === null ? resolve('allowed') : reject(error)),
    );
    return await promise;
  });
}

async function attest(client: Client, params: object): Promise<AttestAnswer> {
  const method = methodOf('agent/v1/agent.proto', 'agent.v1.Agent', 'AttestAgent');
  const { promise, resolve, reject } = Promise.withResolvers<AttestAnswer>();
  const call = client.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    (bytes): AttestAnswer => method.responseDeserialize(bytes),
    { deadline: Date.now() + DEADLINE_MS },
  );
  call.on('data', resolve);
  call.on('error', reject);
  call.on('end', () => reject(new Error('ended without an answer')));
  call.write({ params });
  try {
    return await promise;
  } finally {
    call.end();
  }
}

async function withClient<T>(
  server: string,
  identity: TlsIdentity | undefined,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const [host = '', port] = server.split(':');
  const dial = dialTls({
    host,
    port: Number(port),
    ...(identity && { identity: () => identity }),
    trust: { onUnverified: () => {} },
  });
  const client = new Client(dial.target, dial.credentials, dial.options);
  try {
    return await work(client);
  } catch (error) {
    throw dial.failure() ?? error;
  } finally {
    client.close();
  }
}

function methodOf(file: string, service: string, name: string) {
  const method = loadService(`spire/api/server/${file}`, `spire.api.server.${service}`)[name];
  if (method === undefined) throw new Error(`no method ${name}`);
  return method;
}

function codeOf(error: unknown): string {
  if (error instanceof TrustplaneError) return error.code;
  if (!(error instanceof Error)) return String(error);
  const sent = isServiceError(error) ? error.metadata.get(ERROR_CODE_KEY)[0] : undefined;
  return sent === undefined ? error.message : String(sent);
}

function isServiceError(error: Error): error is ServiceError {
  return 'metadata' in error && 'details' in error;
}
