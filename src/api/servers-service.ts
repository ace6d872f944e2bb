import type { AuthorityControl, AuthorityStatus, PeerAuthorities } from '../ca/index.ts';
import type { SeenServer, ServerDirectory, ServerRecord } from '../servers/index.ts';
import { buildSeconds } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { buildAuthority } from './rotation-messages.ts';
import { unary } from './unary.ts';

type Control = Pick<AuthorityControl, 'status' | 'peers'>;

export interface ServersServiceOptions {
  /** Of this server. */
  readonly serverId: string;
  /** Undefined where there are no others. */
  readonly directory: Pick<ServerDirectory, 'own' | 'others'> | undefined;
  readonly ca: Control;
  readonly jwtCa: Control;
}

interface Seen {
  readonly state: 'LIVE' | 'GONE' | 'STOPPED';
  readonly record?: ServerRecord | undefined;
  readonly aheadMs?: number;
}

/** trustplane.admin.v1.Servers; to be guarded. */
export function createServersService(options: ServersServiceOptions): GrpcService {
  return {
    definition: loadService('trustplane/admin/v1/servers.proto', 'trustplane.admin.v1.Servers'),
    implementation: { ListServers: unary(() => listServers(options)) },
  };
}

async function listServers({ serverId, directory, ca, jwtCa }: ServersServiceOptions) {
  const [x509, jwt] = [await authoritiesOf(serverId, ca), await authoritiesOf(serverId, jwtCa)];
  const seen = new Map<string, Seen>(
    directory?.others.map((other) => [other.serverId, seenAs(other)]),
  );
  seen.set(serverId, { state: 'LIVE', record: directory?.own });
  const ids = [...new Set([...seen.keys(), ...x509.keys(), ...jwt.keys()])].sort();
  return {
    servers: ids.map((id) => {
      const { state, record, aheadMs = 0 } = seen.get(id) ?? { state: 'STOPPED' };
      return {
        id,
        state: `STATE_${state}`,
        self: id === serverId,
        address: record?.address ?? '',
        version: record?.version ?? '',
        started_at: buildSeconds(record?.startedAt),
        renewed_at: buildSeconds(record?.renewedAt),
        clock_ahead_ms: String(Math.round(aheadMs)),
        x509_authorities: x509.get(id)?.map(buildAuthority) ?? [],
        jwt_authorities: jwt.get(id)?.map(buildAuthority) ?? [],
      };
    }),
  };
}

function seenAs({ isLive, record, aheadMs }: SeenServer): Seen {
  return { state: isLive ? 'LIVE' : 'GONE', record, aheadMs };
}

/** By server ID. */
async function authoritiesOf(
  serverId: string,
  control: Control,
): Promise<ReadonlyMap<string, readonly AuthorityStatus[]>> {
  const peers: readonly PeerAuthorities[] = await control.peers.list();
  return new Map([
    ...peers.map((peer) => [peer.serverId, peer.authorities] as const),
    [serverId, control.status().authorities],
  ]);
}
