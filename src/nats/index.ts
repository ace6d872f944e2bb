/** Connections to NATS that come back by themselves, and what a nats-server is configured with. */
export { type BroadcastPublisher, buildBroadcastConfig } from './broadcast-config.ts';
export type { ConnectedNatsLink, NatsLink } from './nats-link.ts';
export type {
  NamedNatsServer,
  NatsIdentity,
  NatsIdentityFiles,
  NatsLogin,
  NatsOptions,
  NatsTls,
  SpiffeNatsServer,
} from './nats-options.ts';
export { createNkeyFile } from './nkey-file.ts';
export { connectNats, openNats } from './open-nats.ts';
export { parseNatsAddress } from './server-address.ts';
export {
  formatServerConfig,
  type NatsServerPlace,
  type ServerTlsFiles,
} from './server-config.ts';
export { buildStoreConfig } from './store-config.ts';
