import { isIP, type Socket } from 'node:net';
import { createSecureContext, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { CallCredentials, ChannelCredentials } from '@grpc/grpc-js';
import { type Clock, messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { CheckedSvid } from './checked-svid.ts';
import { takePeerChain } from './peer-chain.ts';
import { type ServerTrust, verifyServer } from './server-trust.ts';
import { ALPN_PROTOCOLS, type TlsIdentity, withTlsSettings } from './tls-settings.ts';

/** After this silence the kernel asks whether the server is still there, ten times, a second apart. */
const KEEP_ALIVE_DELAY_MS = 15_000;

export interface TlsLinkOptions {
  /** Sent as SNI unless it is an IP address. Not verified: a server is its SPIFFE ID. */
  readonly host: string;
  /** What this client presents; undefined for nothing. Asked for each connection. */
  identity(): TlsIdentity | undefined;
  readonly trust: ServerTrust;
  readonly clock: Clock;
  readonly handshakeTimeoutMs: number;
}

/** The ends of one connection, when it was made. */
export interface TlsEnds {
  readonly identity: TlsIdentity | undefined;
  /** Undefined where the server is not verified. */
  readonly server: CheckedSvid | undefined;
}

type SecureConnector = ReturnType<ChannelCredentials['_createSecureConnector']>;

/** Credentials of a grpc-js channel that judge the server the SPIFFE way (docs/adr/0003). */
export class SpiffeCredentials extends ChannelCredentials {
  readonly #options: TlsLinkOptions;
  #ends: TlsEnds | undefined;
  #failure: TrustplaneError | undefined;

  constructor(options: TlsLinkOptions) {
    super();
    this.#options = options;
  }

  /** Of the newest connection, once there was one. */
  get ends(): TlsEnds | undefined {
    return this.#ends;
  }

  /** Why the last handshake failed, if it did. */
  get failure(): TrustplaneError | undefined {
    return this.#failure;
  }

  override _isSecure(): boolean {
    return true;
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(
    ...[, , callCredentials]: Parameters<ChannelCredentials['_createSecureConnector']>
  ): SecureConnector {
    const credentials = callCredentials ?? CallCredentials.createEmpty();
    return {
      connect: async (socket) => ({ socket: await this.#connect(socket), secure: true }),
      waitForReady: () => Promise.resolve(),
      getCallCredentials: () => credentials,
      destroy: () => {},
    };
  }

  async #connect(socket: Socket): Promise<TLSSocket> {
    socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
    try {
      const identity = this.#options.identity();
      const secured = await this.#shakeHands(socket, identity);
      this.#ends = { identity, server: this.#judge(secured) };
      this.#failure = undefined;
      return secured;
    } catch (error) {
      socket.destroy();
      this.#failure =
        error instanceof TrustplaneError
          ? error
          : new TrustplaneError('ERR_TLS_HANDSHAKE', `no TLS with the server: ${messageOf(error)}`);
      throw this.#failure;
    }
  }

  async #shakeHands(socket: Socket, identity: TlsIdentity | undefined): Promise<TLSSocket> {
    const { host, clock, handshakeTimeoutMs } = this.#options;
    const secureContext = withTlsSettings(identity, createSecureContext);
    const secured = tlsConnect({
      socket,
      secureContext,
      ALPNProtocols: ALPN_PROTOCOLS,
      // OpenSSL would ask the system's roots and the host's name; `#judge` asks the bundle.
      rejectUnauthorized: false,
      ...(isIP(host) === 0 ? { servername: host } : {}),
    });
    return await new Promise((resolve, reject) => {
      const fail = (why: string): void => reject(new Error(why));
      const timer = clock.setTimer(handshakeTimeoutMs, () => {
        secured.destroy();
        fail(`it took over ${handshakeTimeoutMs} ms`);
      });
      secured.on('error', (error) => fail(error.message));
      secured.on('close', () => {
        timer.cancel();
        fail('the server closed the connection');
      });
      secured.once('secureConnect', () => {
        timer.cancel();
        resolve(secured);
      });
    });
  }

  #judge(secured: TLSSocket): CheckedSvid | undefined {
    if (secured.alpnProtocol !== ALPN_PROTOCOLS[0]) {
      throw new TrustplaneError('ERR_TLS_HANDSHAKE', 'the server does not speak HTTP/2 (ALPN h2)');
    }
    return verifyServer(takePeerChain(secured), this.#options.trust, this.#options.clock);
  }
}
