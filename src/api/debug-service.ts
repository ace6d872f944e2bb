import { type Clock, parseCertificate, SpiffeId } from '../spiffe/index.ts';
import { buildSeconds, buildSpiffeId } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

interface DebugOptions {
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** What it presents now, leaf first (DER); empty where it presents nothing. */
  readonly svidChain: () => readonly Uint8Array[];
}

export interface DebugServiceOptions extends DebugOptions {
  readonly agents: { count(): number };
  readonly foreignBundles: { current(): { readonly size: number } };
  readonly entries: { count(): number };
}

export interface AgentDebugOptions extends DebugOptions {
  /** When it last had everything from a server, milliseconds since the epoch; undefined for never. */
  readonly syncedAt: () => number | undefined;
  /** Both kinds of SVIDs it keeps now. */
  readonly svids: () => { readonly x509: number; readonly jwt: number };
}

/** spire.api.server.debug.v1.Debug, for the admin socket alone. */
export function createDebugService(options: DebugServiceOptions): GrpcService {
  const { agents, foreignBundles, entries } = options;
  return {
    definition: loadService(
      'spire/api/server/debug/v1/debug.proto',
      'spire.api.server.debug.v1.Debug',
    ),
    implementation: {
      GetInfo: unary(() => ({
        ...buildCommon(options),
        agents_count: agents.count(),
        federated_bundles_count: foreignBundles.current().size,
        entries_count: entries.count(),
      })),
    },
  };
}

/** spire.agent.debug.v1.Debug, for administrators of the machine alone. */
export function createAgentDebugService(options: AgentDebugOptions): GrpcService {
  return {
    definition: loadService('spire/agent/debug/v1/debug.proto', 'spire.agent.debug.v1.Debug'),
    implementation: {
      GetInfo: unary(() => {
        const { x509, jwt } = options.svids();
        return {
          ...buildCommon(options),
          svids_count: x509,
          last_sync_success: buildSeconds(options.syncedAt()),
          cached_x509_svids_count: x509,
          cached_jwt_svids_count: jwt,
        };
      }),
    },
  };
}

function buildCommon({ clock, startedAt, svidChain }: DebugOptions): object {
  return {
    svid_chain: svidChain().map(buildCertificate),
    uptime: Math.floor(Math.max(0, clock.now() - startedAt) / 1_000),
  };
}

function buildCertificate(der: Uint8Array): object {
  const { uriSans, notAfter, subject } = parseCertificate(der);
  const id = uriSans.find((uri) => uri.startsWith('spiffe:'));
  return {
    ...(id !== undefined && { id: buildSpiffeId(SpiffeId.parse(id)) }),
    expires_at: buildSeconds(notAfter),
    subject: subject.text,
  };
}
