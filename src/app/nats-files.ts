import path from 'node:path';
import {
  ackSubjects,
  allSubjects,
  bundleSubject,
  relaySubjects,
  STREAM,
} from '../broadcast/index.ts';
import {
  type BroadcastPublisher,
  buildBroadcastConfig,
  buildStoreConfig,
  formatServerConfig,
  type NatsServerPlace,
  type ServerTlsFiles,
} from '../nats/index.ts';
import { writeFileAtomic } from '../ops/index.ts';
import { SpiffeId, type TrustDomain } from '../spiffe/index.ts';
import { makeNatsFolder } from './make-nats-folder.ts';

export { createNkeyFile } from '../nats/index.ts';

/** Names of what `follow` keeps in the folder of a nats-server's configuration. */
export const natsFileNames = {
  /** Certificates and key. */
  identity: 'svid.pem',
  /** Own and federated authorities. */
  authorities: 'bundle.pem',
  ownAuthorities: 'own-bundle.pem',
} as const;

export interface NatsPlaceOptions extends Omit<NatsServerPlace, 'pidFile' | 'jetStreamFolder'> {
  /** Absolute. */
  readonly folder: string;
  /** Default `jetstream` in the folder. */
  readonly jetStreamFolder: string | undefined;
}

export interface BroadcastFileOptions extends NatsPlaceOptions {
  readonly trustDomain: TrustDomain;
  /** Of the nats-servers. Default `spiffe://<trust domain>/nats`. */
  readonly natsId: SpiffeId | undefined;
  /** Servers that publish; empty: those of the trust domain. */
  readonly publishers: readonly SpiffeId[];
  readonly leaf: { readonly listen: string; readonly nodes: readonly SpiffeId[] } | undefined;
  readonly leafRemotes: readonly string[];
}

export interface StoreFileOptions extends NatsPlaceOptions {
  readonly files: ServerTlsFiles;
  readonly nkeys: readonly string[];
}

/**
 * Writes the configuration of a nats-server for the broadcast; returns its path.
 * @throws TrustplaneError ERR_FILE_WRITE
 */
export async function writeBroadcastConfig(options: BroadcastFileOptions): Promise<string> {
  const { folder, trustDomain, leaf } = options;
  const { identity, authorities, ownAuthorities } = natsFileNames;
  const publishers =
    options.publishers.length > 0
      ? options.publishers
      : [SpiffeId.of(trustDomain, '/spire/server')];
  const config = buildBroadcastConfig({
    ...options,
    place: placeOf(options),
    files: {
      identityFile: path.join(folder, identity),
      caFile: path.join(folder, authorities),
      ownCaFile: path.join(folder, ownAuthorities),
    },
    natsId: options.natsId ?? SpiffeId.of(trustDomain, '/nats'),
    publishers: publishers.map((spiffeId) => publisherOf(spiffeId)),
    readable: [`${ROOT}.bundle.>`, relaySubjects(trustDomain)],
    all: allSubjects,
    stream: STREAM,
    domain: trustDomain.name.replaceAll(/[^a-z0-9_-]/gu, '-'),
    leaf: leaf && { ...leaf, nodes: leaf.nodes.map((spiffeId) => leafNodeOf(spiffeId)) },
  });
  return await write(folder, formatServerConfig(config, comment('broadcast')));
}

/**
 * Writes the configuration of a nats-server for the store; returns its path.
 * @throws TrustplaneError ERR_FILE_WRITE
 */
export async function writeStoreConfig(options: StoreFileOptions): Promise<string> {
  const { folder, files, nkeys } = options;
  const config = buildStoreConfig({ place: placeOf(options), files, nkeys });
  return await write(folder, formatServerConfig(config, comment('store')));
}

const ROOT = allSubjects.slice(0, -'.>'.length);

function placeOf(options: NatsPlaceOptions): NatsServerPlace {
  const { folder, jetStreamFolder = path.join(folder, 'jetstream') } = options;
  return { ...options, jetStreamFolder, pidFile: path.join(folder, 'nats-server.pid') };
}

/** What servers of a trust domain say: their bundle, others' to their own agents, and what they hold. */
function publisherOf(spiffeId: SpiffeId): BroadcastPublisher {
  const { trustDomain } = spiffeId;
  const subjects = [bundleSubject(trustDomain), relaySubjects(trustDomain)];
  return { spiffeId, subjects: [...subjects, ackSubjects(trustDomain)] };
}

/** What a cluster of another trust domain brings in: of its relays nobody here is a reader. */
function leafNodeOf(spiffeId: SpiffeId): BroadcastPublisher {
  const { trustDomain } = spiffeId;
  return { spiffeId, subjects: [bundleSubject(trustDomain), ackSubjects(trustDomain)] };
}

function comment(purpose: string): readonly string[] {
  return [
    `nats-server for trustplane's ${purpose}, written by \`trustplane nats config\`.`,
    'Do not edit: it is written anew. What is missing goes into a file that includes this one.',
  ];
}

/** It holds no secret, and whose user runs nats-server is not known. */
async function write(folder: string, text: string): Promise<string> {
  await makeNatsFolder(folder);
  const file = path.join(folder, 'nats-server.conf');
  await writeFileAtomic(file, Buffer.from(text), { mode: 0o644 });
  return file;
}
