import type { SpiffeId } from '../spiffe/index.ts';
import {
  buildServerBasics,
  buildTls,
  type ClusterPlace,
  type NatsServerConfig,
  type NatsServerPlace,
  type ServerTlsFiles,
} from './server-config.ts';

/** One who may publish, known by the SPIFFE ID of its SVID. */
export interface BroadcastPublisher {
  readonly spiffeId: SpiffeId;
  /** Subjects, with wildcards. */
  readonly subjects: readonly string[];
}

/** What `trustplane nats follow` keeps: the nats-server's own SVID and whom it believes. */
export interface SvidFiles {
  /** Certificates and key in one, so that they always fit. */
  readonly identityFile: string;
  /** Authorities of the own trust domain and of all federated ones. */
  readonly caFile: string;
  /** Authorities of the own trust domain alone. */
  readonly ownCaFile: string;
}

export interface BroadcastConfigOptions {
  readonly place: NatsServerPlace;
  readonly files: SvidFiles;
  /** The nats-servers' own SPIFFE ID: who may be a member of the cluster. */
  readonly natsId: SpiffeId;
  readonly publishers: readonly BroadcastPublisher[];
  /** What anybody with an SVID may subscribe to. */
  readonly readable: readonly string[];
  /** Every subject of the broadcast. */
  readonly all: string;
  readonly stream: string;
  /** Of JetStream; distinct for each side of a leaf node. */
  readonly domain: string;
  /** Where leaf nodes dial in, and who may, with what; undefined: none. */
  readonly leaf: LeafListener | undefined;
  /** `host:port` that this server dials as a leaf node, most often of another trust domain. */
  readonly leafRemotes: readonly string[];
}

export interface LeafListener {
  readonly listen: string;
  /** What each may bring in. */
  readonly nodes: readonly BroadcastPublisher[];
}

/**
 * Whoever logs in with nothing is this user, whose seed nobody has: a nats-server asks no signature
 * of the one in `no_auth_user`. It has to be an NKEY: only those are looked for before a certificate
 * is mapped to a user (docs/adr/0008).
 */
const READER = 'UA4EEFUXTKNPKPVLWCSJWSP6BBMTU2JIAG3QYXZKJVHCDQIACHBSJOH2';
/** Named by a leaf node so that it is not taken for a reader; its certificate says who it is. */
const CERTIFICATE_USER = 'certificate';
/** Holds the stream and whoever publishes. */
const ACCOUNT = 'BUNDLES';
const INBOX = '_INBOX.>';
const STREAM_BYTES = 1_073_741_824;

/** The configuration of a nats-server that carries bundles between trust domains (design D5). */
export function buildBroadcastConfig(options: BroadcastConfigOptions): NatsServerConfig {
  const { place, files, natsId, domain } = options;
  return {
    ...buildServerBasics(place),
    tls: buildTls(anybody(files), 'verify_and_map'),
    jetstream: {
      store_dir: place.jetStreamFolder,
      domain,
      max_memory_store: 0,
      max_file_store: STREAM_BYTES,
    },
    accounts: buildAccounts(options),
    system_account: 'SYS',
    no_auth_user: READER,
    ...(place.cluster === undefined ? {} : { cluster: buildCluster(place.cluster, files, natsId) }),
    ...buildLeaf(options),
  };
}

/**
 * Readers have an account of their own: the answer to a request goes to whatever subject the request
 * names, and would be stored as somebody's bundle if that subject were one of the stream's account.
 */
function buildAccounts(options: BroadcastConfigOptions): NatsServerConfig {
  const { stream, all, readable, publishers, leaf } = options;
  const latest = `$JS.API.DIRECT.GET.${stream}.>`;
  return {
    [ACCOUNT]: {
      jetstream: 'enabled',
      users: [
        ...publishers.map((publisher) => buildPublisher(publisher, options)),
        ...(leaf?.nodes ?? []).map((node) => buildLeafUser(node, options)),
      ],
      exports: [{ stream: all }, { service: latest }],
    },
    READERS: {
      users: [
        {
          nkey: READER,
          permissions: { publish: [latest], subscribe: [...readable, INBOX] },
          allowed_connection_types: ['STANDARD'],
        },
      ],
      imports: [
        { stream: { account: ACCOUNT, subject: all } },
        { service: { account: ACCOUNT, subject: latest } },
      ],
    },
    SYS: {},
  };
}

/** It may make the stream and read it, but neither change nor empty it. */
function buildPublisher(
  { spiffeId, subjects }: BroadcastPublisher,
  { stream, all }: BroadcastConfigOptions,
): NatsServerConfig {
  const api = ['INFO', `STREAM.INFO.${stream}`, `STREAM.CREATE.${stream}`];
  const latest = `DIRECT.GET.${stream}.>`;
  return {
    user: spiffeId.toString(),
    permissions: {
      publish: [...subjects, ...[...api, latest].map((method) => `$JS.API.${method}`)],
      subscribe: [all, INBOX],
    },
    allowed_connection_types: ['STANDARD'],
  };
}

function buildLeafUser(
  { spiffeId, subjects }: BroadcastPublisher,
  { all }: BroadcastConfigOptions,
): NatsServerConfig {
  return {
    user: spiffeId.toString(),
    permissions: { publish: [...subjects], subscribe: [all] },
    allowed_connection_types: ['LEAFNODE'],
  };
}

/** Another member has all there is, so it must have the one SPIFFE ID, below the own authorities. */
function buildCluster(
  { name, listen, routes }: ClusterPlace,
  files: SvidFiles,
  natsId: SpiffeId,
): NatsServerConfig {
  return {
    name,
    listen,
    no_advertise: true,
    authorization: { user: natsId.toString(), timeout: 5 },
    tls: buildTls({ ...anybody(files), caFile: files.ownCaFile }, 'verify_and_map'),
    routes: routes.map((route) => `tls://${route}`),
  };
}

/** Both ends of a leaf node have an SVID, and may be of two trust domains. */
function buildLeaf(options: BroadcastConfigOptions): NatsServerConfig {
  const { leaf, leafRemotes } = options;
  if (leaf === undefined && leafRemotes.length === 0) return {};
  const files = anybody(options.files);
  const urls = leafRemotes.map((remote) => `tls://${CERTIFICATE_USER}@${remote}`);
  const remote = { urls, account: ACCOUNT, tls: buildTls(files) };
  return {
    leafnodes: {
      ...(leaf && {
        listen: leaf.listen,
        no_advertise: true,
        tls: buildTls(files, 'verify_and_map'),
      }),
      ...(urls.length > 0 && { remotes: [remote] }),
    },
  };
}

/** Of the own trust domain or a federated one. */
function anybody({ identityFile, caFile }: SvidFiles): ServerTlsFiles {
  return { certFile: identityFile, keyFile: identityFile, caFile };
}
