import {
  buildServerBasics,
  buildTls,
  type NatsServerConfig,
  type NatsServerPlace,
  type ServerTlsFiles,
} from './server-config.ts';

export interface StoreConfigOptions {
  readonly place: NatsServerPlace;
  /** Of a CA outside of trustplane: an outage longer than the life of an SVID could not be left. */
  readonly files: ServerTlsFiles;
  /** Public NKEYs of the trustplane servers. */
  readonly nkeys: readonly string[];
}

/** Where a trustplane server asks each nats-server whether it syncs each write. */
const ASK_SYNC = '$SYS.REQ.SERVER.PING.JSZ';

/** The configuration of a nats-server that holds the store of a trust domain's servers (design D1). */
export function buildStoreConfig({ place, files, nkeys }: StoreConfigOptions): NatsServerConfig {
  const { cluster } = place;
  return {
    ...buildServerBasics(place),
    tls: buildTls(files, 'verify'),
    jetstream: {
      store_dir: place.jetStreamFolder,
      // What is acknowledged is on disk: the default acknowledges up to two minutes before.
      sync_interval: 'always',
      max_memory_store: 0,
    },
    accounts: {
      STORE: {
        jetstream: 'enabled',
        users: nkeys.map((nkey) => ({ nkey })),
        imports: [{ service: { account: 'SYS', subject: ASK_SYNC } }],
      },
      SYS: { exports: [{ service: ASK_SYNC, response_type: 'stream', accounts: ['STORE'] }] },
    },
    system_account: 'SYS',
    ...(cluster === undefined
      ? {}
      : {
          cluster: {
            name: cluster.name,
            listen: cluster.listen,
            no_advertise: true,
            tls: buildTls(files, 'verify'),
            routes: cluster.routes.map((route) => `tls://${route}`),
          },
        }),
  };
}
