import { TrustplaneError } from '../spiffe/index.ts';
import { buildNats, type NatsConfig } from './nats-config.ts';
import type { StoreFile } from './store-schema.ts';

/** The nats-servers that keep the records of several servers. */
export interface SharedStoreConfig {
  readonly nats: Pick<NatsConfig, 'servers' | 'caFile' | 'identity' | 'login'>;
  readonly replicas: number;
  /** Empty: they are asked through NATS. */
  readonly monitoringUrls: readonly string[];
  readonly isTest: boolean;
}

/** Undefined: the records are in a database of this server alone. @throws TrustplaneError ERR_CONFIG for what contradicts itself */
export function buildSharedStore(file: StoreFile | undefined): SharedStoreConfig | undefined {
  const { type = 'sqlite', servers, ...rest } = file ?? {};
  const { replicas = 3, monitoringUrls = [], isTest = false, ...nats } = rest;
  if (type === 'sqlite') {
    const [stray] =
      Object.entries({ servers, ...rest }).find(([name, value]) => !holdsAnyway(name, value)) ?? [];
    if (stray === undefined) return undefined;
    throw contradiction(
      `${stray} says nothing of a store of the type sqlite; records in NATS are of "type: jetstream"`,
    );
  }
  if (servers === undefined) {
    throw contradiction(
      'a store of the type jetstream has servers, such as ["tls://nats-1.example:4222"]',
    );
  }
  return { nats: buildNats({ servers, ...nats }, SECTION), replicas, monitoringUrls, isTest };
}

/** As in the file of all options, which says every default. */
function holdsAnyway(name: string, value: unknown): boolean {
  return (
    value === undefined || (name === 'replicas' && value === 3) || (name === 'isTest' && !value)
  );
}

const SECTION = 'server.store';

function contradiction(message: string): TrustplaneError {
  return new TrustplaneError('ERR_CONFIG', `${SECTION}: ${message}`);
}
