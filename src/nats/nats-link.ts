import type { NatsConnection } from '@nats-io/transport-node';

/** A connection to NATS that comes back by itself, for ever. */
export interface NatsLink {
  /** Undefined before the first connection; afterwards always the same, connected or not. */
  readonly connection: NatsConnection | undefined;
  readonly isConnected: boolean;
  /** Why it is not connected, for people; undefined while it is. */
  readonly fault: string | undefined;
  /**
   * Resolves once there was a connection.
   * @throws TrustplaneError ERR_NATS_CLOSED
   */
  connected(): Promise<NatsConnection>;
  /** Calls the listener when the connection is there, each time, and when it is lost; returns the way to stop. */
  watch(listener: (isConnected: boolean) => void): () => void;
  /**
   * Connects again, with the identity, bundle and files of now. Subscriptions are kept; what is
   * published to them meanwhile is missed, as after any loss of the connection.
   */
  renew(): Promise<void>;
  /** Lets subscriptions come to their end, for at most 2 s, and closes the connection. */
  close(): Promise<void>;
}

/** A link that was connected. */
export interface ConnectedNatsLink extends NatsLink {
  readonly connection: NatsConnection;
}
