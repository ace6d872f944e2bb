import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../ops/log.ts';
import type { Metrics } from '../ops/metrics.ts';
import type { Clock } from '../spiffe/clock.ts';
import type { TrustDomain } from '../spiffe/trust-domain.ts';

export interface JetStreamStoreOptions {
  /** Stays the caller's to close, after the store. */
  readonly connection: NatsConnection;
  readonly trustDomain: TrustDomain;
  readonly clock: Clock;
  /** Default: silent. */
  readonly log?: Log;
  readonly metrics?: Metrics;
  /** Servers that hold each record; default 3. */
  readonly replicas?: number;
  /** Monitoring URLs of the servers, where they are asked whether they sync each write; default: they are asked through NATS. */
  readonly monitoringUrls?: readonly string[];
  /** Takes fewer replicas and unsynced writes, so that acknowledged changes can be lost; default false. */
  readonly isTest?: boolean;
  /** Whether a store that is not there is made; default true. */
  readonly mayCreate?: boolean;
  /** Told when writes begin to fail or a stream has no leader, and (undefined) when all is well again. */
  readonly onWrites?: (fault: string | undefined) => void;
}
