import { createAgentDebugService, requireAdmin } from '../api/index.ts';
import type { NodeStatus } from '../node/index.ts';
import type { IssuedSvid } from '../svid/index.ts';
import type { Process } from './process.ts';
import type { ServedService } from './served-service.ts';

type OnSvid = (entryId: string, svid: IssuedSvid | undefined) => void;

/** What an agent says of itself to its administrators, and the X509-SVIDs it has for that. */
export interface AgentDebug {
  /** To be told of SVIDs, which it tells on. */
  readonly onSvid: OnSvid;
  /** `tokens`: the JWT-SVIDs it has. */
  service(tokens: { readonly size: number }): ServedService;
}

/** `status`: this host as a member; undefined for an agent in the server's process, which knows all at once. */
export function createAgentDebug(
  { clock, uid }: Pick<Process, 'clock' | 'uid'>,
  status: (() => Pick<NodeStatus, 'certificateChain' | 'updatedAt'>) | undefined,
  tellOn: OnSvid = () => {},
): AgentDebug {
  const startedAt = clock.now();
  const live = new Set<string>();
  return {
    onSvid(entryId, svid) {
      if (svid === undefined) live.delete(entryId);
      else live.add(entryId);
      tellOn(entryId, svid);
    },
    service: (tokens) => ({
      service: requireAdmin(
        createAgentDebugService({
          clock,
          startedAt,
          svidChain: () => status?.().certificateChain ?? [],
          syncedAt: () => (status === undefined ? clock.now() : status().updatedAt),
          svids: () => ({ x509: live.size, jwt: tokens.size }),
        }),
        uid,
      ),
      file: 'spire/agent/debug/v1/debug.proto',
    }),
  };
}
