import { Channel, type ChannelInterface, type ChannelOptions } from '@grpc/grpc-js';
import type { Timer, TrustplaneError } from '../spiffe/index.ts';
import { SpiffeCredentials, type TlsLinkOptions } from './spiffe-credentials.ts';

/** Calls that wait for a connection may go on waiting for it this long after another took its place. */
const LINGER_MS = 30_000;

interface Link {
  readonly channel: ChannelInterface;
  readonly credentials: SpiffeCredentials;
}

/**
 * A channel whose calls go over a connection with the newest identity to a server that is still
 * trusted. When one of these changes, the next call makes another connection; streams on the old one
 * go on until they end.
 */
export class TlsChannel implements ChannelInterface {
  readonly #target: string;
  readonly #linkOptions: TlsLinkOptions;
  readonly #channelOptions: ChannelOptions;
  /** Links that were replaced, and when they close. */
  readonly #retiring = new Map<Link, Timer>();
  #link: Link;

  constructor(target: string, linkOptions: TlsLinkOptions, channelOptions: ChannelOptions) {
    this.#target = target;
    this.#linkOptions = linkOptions;
    this.#channelOptions = channelOptions;
    this.#link = this.#createLink();
  }

  /** Why the last handshake failed, if it did. */
  get failure(): TrustplaneError | undefined {
    return this.#link.credentials.failure;
  }

  createCall(...args: Parameters<ChannelInterface['createCall']>): Call {
    return this.#current().channel.createCall(...args);
  }

  close(): void {
    for (const [link, timer] of this.#retiring) {
      timer.cancel();
      link.channel.close();
    }
    this.#retiring.clear();
    this.#link.channel.close();
  }

  getTarget(): string {
    return this.#link.channel.getTarget();
  }

  getConnectivityState(
    ...args: Parameters<ChannelInterface['getConnectivityState']>
  ): ReturnType<ChannelInterface['getConnectivityState']> {
    return this.#link.channel.getConnectivityState(...args);
  }

  watchConnectivityState(...args: Parameters<ChannelInterface['watchConnectivityState']>): void {
    this.#link.channel.watchConnectivityState(...args);
  }

  getChannelzRef(): ReturnType<ChannelInterface['getChannelzRef']> {
    return this.#link.channel.getChannelzRef();
  }

  #current(): Link {
    if (!this.#isStale(this.#link)) return this.#link;
    const link = this.#link;
    this.#link = this.#createLink();
    const timer = this.#linkOptions.clock.setTimer(LINGER_MS, () => {
      this.#retiring.delete(link);
      link.channel.close();
    });
    this.#retiring.set(link, timer);
    return this.#link;
  }

  /** A link that was never connected is not: it will ask for the identity then. */
  #isStale({ credentials: { ends } }: Link): boolean {
    if (ends === undefined) return false;
    if (ends.identity !== this.#linkOptions.identity()) return true;
    try {
      ends.server?.verify();
      return false;
    } catch {
      return true;
    }
  }

  #createLink(): Link {
    const credentials = new SpiffeCredentials(this.#linkOptions);
    const channel = new Channel(this.#target, credentials, this.#channelOptions);
    return { credentials, channel };
  }
}

type Call = ReturnType<ChannelInterface['createCall']>;
