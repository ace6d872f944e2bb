import type { NatsConnection } from '@nats-io/transport-node';

/**
 * A connection to NATS that comes back by itself, for ever; also when its identity was renewed. Then
 * subscriptions are kept, and what is published to them meanwhile is missed, as after any loss.
 */
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
  /** Lets subscriptions come to their end, for at most 2 s, and closes the connection. */
  close(): Promise<void>;
}

/** A link that was connected. */
export interface ConnectedNatsLink extends NatsLink {
  readonly connection: NatsConnection;
}
