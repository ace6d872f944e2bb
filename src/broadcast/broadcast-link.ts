import type { NatsConnection } from '@nats-io/transport-node';

/** What the broadcast needs of a connection to NATS that comes back by itself. */
export interface BroadcastLink {
  /** Undefined before the first connection; afterwards always the same, connected or not. */
  readonly connection: NatsConnection | undefined;
  readonly isConnected: boolean;
  /** Calls the listener when the connection is there, each time, and when it is lost; returns the way to stop. */
  watch(listener: (isConnected: boolean) => void): () => void;
}
