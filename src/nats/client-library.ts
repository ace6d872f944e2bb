import { createRequire } from 'node:module';
import type * as ClientLibrary from '@nats-io/transport-node';

const require = createRequire(import.meta.url);

/** The client of NATS, loaded when it is wanted: most processes talk to no nats-server. */
export function clientLibrary(): typeof ClientLibrary {
  return require('@nats-io/transport-node');
}
