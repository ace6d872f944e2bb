import { isIP, type Socket, connect as tcpConnect } from 'node:net';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { type Clock, messageOf, TrustplaneError } from '../../spiffe/index.ts';
import { takePeerChain } from '../../wire/index.ts';
import { endpointContext } from './endpoint-context.ts';
import { type EndpointTrust, judgeEndpoint } from './endpoint-trust.ts';
import { createHostLookup } from './host-lookup.ts';
import { isPublicAddress } from './public-address.ts';

const HTTPS_PORT = 443;
const lookUpHost = createHostLookup();

/** What the server at a URL presented, whether it is then believed or not. */
export interface Presented {
  readonly url: string;
  /** IP address. */
  readonly address: string;
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[];
}

export interface EndpointConnection {
  readonly socket: TLSSocket;
  readonly presented: Presented;
}

export interface ConnectOptions {
  readonly trust: EndpointTrust;
  readonly clock: Clock;
  /** Aborts with what is to be thrown. */
  readonly signal: AbortSignal;
  /** Refuses addresses that only machines near this one reach. */
  readonly mustBePublic: boolean;
  /** Told of each server before it is judged. */
  readonly onPresented: (presented: Presented) => void;
}

/**
 * Connects to the server at a URL and judges it; until it is believed nothing is asked of it.
 * No session is ever resumed, since the check of the chain would be skipped.
 * @throws TrustplaneError ERR_FETCH_*, ERR_TLS_SERVER_ID, ERR_CERTIFICATE, ERR_X509_*; what the signal aborts with
 */
export async function connectEndpoint(
  url: string,
  options: ConnectOptions,
): Promise<EndpointConnection> {
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/gu, '').replace(/\.$/u, '');
  const tcp = await connectTcp(host, port === '' ? HTTPS_PORT : Number(port), options);
  const address = tcp.remoteAddress ?? '';
  if (options.mustBePublic && !isPublicAddress(address)) {
    tcp.destroy();
    const message = `a public endpoint redirects to ${address}, which is not a public address`;
    throw new TrustplaneError('ERR_FETCH_REDIRECT', message);
  }
  const socket = await shakeHands(tcp, host, options);
  try {
    const presented = { url, address, chain: takePeerChain(socket) };
    options.onPresented(presented);
    judgeEndpoint(socket, presented.chain, host, options.trust, options.clock);
    return { socket, presented };
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

async function connectTcp(host: string, port: number, { signal }: ConnectOptions): Promise<Socket> {
  const socket = tcpConnect({ host, port, noDelay: true, lookup: lookUpHost });
  try {
    await opened(socket, 'connect', signal);
    return socket;
  } catch (error) {
    throw asFetchError('ERR_FETCH_UNREACHABLE', `no connection to ${host}:${port}`, error);
  }
}

async function shakeHands(
  tcp: Socket,
  host: string,
  { trust, signal }: ConnectOptions,
): Promise<TLSSocket> {
  const socket = tlsConnect({
    socket: tcp,
    secureContext: endpointContext(trust),
    ALPNProtocols: ['http/1.1'],
    // `judgeEndpoint` decides, once the chain is known for the log.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  });
  try {
    await opened(socket, 'secureConnect', signal);
    return socket;
  } catch (error) {
    throw asFetchError('ERR_FETCH_TLS', `no TLS with ${host}`, error);
  }
}

/** Resolves at the event; the signal destroys the socket, also later. */
async function opened(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  signal: AbortSignal,
): Promise<void> {
  const abort = (): void => void socket.destroy(signal.reason);
  signal.addEventListener('abort', abort);
  const release = (): void => signal.removeEventListener('abort', abort);
  socket.once('close', release);
  if (signal.aborted) abort();
  await new Promise<void>((resolve, reject) => {
    socket.once(event, resolve);
    // Also later: without a listener an error would end the process.
    socket.on('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
  // TLS takes the connection over and is what is destroyed from then on: destroying both crashes Node 24.
  if (event === 'connect') release();
}

function asFetchError(
  code: 'ERR_FETCH_UNREACHABLE' | 'ERR_FETCH_TLS',
  what: string,
  error: unknown,
): TrustplaneError {
  if (error instanceof TrustplaneError) return error;
  return new TrustplaneError(code, `${what}: ${messageOf(error)}`, { cause: error });
}
