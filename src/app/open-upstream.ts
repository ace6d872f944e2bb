import { randomBytes } from 'node:crypto';
import {
  createDiskUpstream,
  openUpstreamFollower,
  type UpstreamAuthority,
  type UpstreamFollower,
  type X509Ca,
} from '../ca/index.ts';
import { createWorkloadApiClient, openUpstreamServers } from '../client/index.ts';
import { type OwnBundle, withdrawExpiredAuthorities } from '../federation/index.ts';
import { messageOf } from '../spiffe/index.ts';
import type { Bucket } from '../store/index.ts';
import type { Config } from './config.ts';
import type { Process } from './process.ts';
import type { UpstreamConfig } from './upstream-config.ts';

/** Who publishes in the own bundle what stands upstream. */
const UPSTREAM = 'upstream';

/** Follows what stands above this server, if anything does; closed with `process`. */
export async function openUpstream(
  config: Config,
  process: Process,
  bucket: Bucket,
  parts: {
    readonly ownBundle: OwnBundle;
    /** Publishers of what is told upstream. */
    readonly publishers: readonly string[];
    readonly ca: () => Pick<X509Ca, 'status'> | undefined;
  },
): Promise<UpstreamFollower | undefined> {
  const { closing, readiness } = process;
  const publisher = parts.ownBundle.publisherFor(UPSTREAM);
  const expiry = withdrawExpiredAuthorities({ ...process, publisher });
  closing.defer(() => expiry.close());
  if (config.upstream === undefined) return undefined;
  const follower = await openUpstreamFollower({
    ...process,
    upstream: openAuthority(config, config.upstream, process),
    publisher,
    bucket,
    rootsInUse: () => rootsInUse(parts.ca()),
    ownJwtAuthorities: () =>
      parts.publishers.flatMap((name) => parts.ownBundle.publisherFor(name).jwtAuthorities()),
  });
  closing.defer(() => follower.close());
  readiness.observe('upstream', () => follower.failure && messageOf(follower.failure));
  process.reloader.add([], () => follower.refresh());
  return follower;
}

function openAuthority(
  { trustDomain }: Config,
  upstream: UpstreamConfig,
  { clock, log, closing }: Process,
): UpstreamAuthority {
  if (upstream.kind === 'disk') {
    return createDiskUpstream({ ...upstream, trustDomain, clock, random: randomBytes });
  }
  const { servers: addresses, workloadApiSocket: path, spiffeId } = upstream;
  const workloadApi = createWorkloadApiClient({
    address: { kind: 'unix', path },
    clock,
    random: Math.random,
  });
  const servers = openUpstreamServers({
    addresses,
    workloadApi,
    spiffeId,
    trustDomain,
    clock,
    log,
  });
  closing.defer(() => servers.close());
  return servers;
}

function rootsInUse(ca: Pick<X509Ca, 'status'> | undefined): readonly string[] {
  const authorities = ca?.status().authorities ?? [];
  return authorities.flatMap(({ state, upstreamId }) =>
    state === 'old' || upstreamId === undefined ? [] : [upstreamId],
  );
}
