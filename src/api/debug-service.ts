import { type Clock, parseCertificate, SpiffeId } from '../spiffe/index.ts';
import { buildSeconds, buildSpiffeId } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

export interface DebugServiceOptions {
  readonly clock: Clock;
  /** Milliseconds since the epoch. */
  readonly startedAt: number;
  /** What agents are shown now, leaf first (DER); empty where none are served. */
  readonly svidChain: () => readonly Uint8Array[];
  readonly agents: { count(): number };
  readonly foreignBundles: { current(): { readonly size: number } };
  readonly entries: { count(): number };
}

/** spire.api.server.debug.v1.Debug, for the admin socket alone. */
export function createDebugService(options: DebugServiceOptions): GrpcService {
  const { clock, startedAt, svidChain, agents, foreignBundles, entries } = options;
  return {
    definition: loadService(
      'spire/api/server/debug/v1/debug.proto',
      'spire.api.server.debug.v1.Debug',
    ),
    implementation: {
      GetInfo: unary(() => ({
        svid_chain: svidChain().map(buildCertificate),
        uptime: Math.floor(Math.max(0, clock.now() - startedAt) / 1_000),
        agents_count: agents.count(),
        federated_bundles_count: foreignBundles.current().size,
        entries_count: entries.count(),
      })),
    },
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
