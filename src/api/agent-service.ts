import type { AgentRegistry, JoinTokens } from '../agents/index.ts';
import { type SpiffeId, TrustplaneError } from '../spiffe/index.ts';
import { buildSeconds, parseSpiffeId, type WireSpiffeId } from '../sync/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { checkAgentCsr, parseAgentCsr, type WireAgentSvidParams } from './agent-csr.ts';
import {
  type AgentMask,
  buildAgent,
  parseAgentFilter,
  type WireAgentFilter,
} from './agent-messages.ts';
import { type AttestAgentOptions, createAttestAgent } from './attest-agent.ts';
import type { Authorization } from './authorization.ts';
import { parsePage, type WirePageRequest } from './page-request.ts';
import { buildX509Svid } from './svid-message.ts';
import { unary } from './unary.ts';

export interface AgentServiceOptions extends AttestAgentOptions {
  readonly agents: AgentRegistry;
  readonly tokens: Pick<JoinTokens, 'create'>;
  readonly authorization: Pick<Authorization, 'agentOf'>;
}

interface ListRequest extends WirePageRequest {
  readonly filter?: WireAgentFilter | null;
  readonly output_mask?: AgentMask;
}

interface IdRequest {
  readonly id?: WireSpiffeId | null;
  readonly output_mask?: AgentMask;
}

interface TokenRequest {
  readonly ttl?: number;
  readonly token?: string;
  readonly agent_id?: WireSpiffeId | null;
}

/** spire.api.server.agent.v1.Agent; to be guarded. */
export function createAgentService(options: AgentServiceOptions): GrpcService {
  return {
    definition: loadService(
      'spire/api/server/agent/v1/agent.proto',
      'spire.api.server.agent.v1.Agent',
    ),
    implementation: { ...forAgents(options), ...forAdministrators(options) },
  };
}

function forAgents(options: AgentServiceOptions) {
  const { agents, authorization, trustDomain, issueAgentSvid, log } = options;
  return {
    AttestAgent: createAttestAgent(options),
    RenewAgent: unary<{ params?: WireAgentSvidParams | null }, object>(async ({ params }, call) => {
      const { id, selectors } = authorization.agentOf(call);
      const csr = parseAgentCsr(params, trustDomain);
      checkAgentCsr(csr, id);
      const svid = await agents.renew(id, csr.publicKey, () =>
        issueAgentSvid(id, csr.publicKey, selectors),
      );
      const { serialNumber, expiresAt } = svid;
      log.debug({ agentId: id.toString(), serialNumber, expiresAt }, 'agent renewed');
      return { svid: buildX509Svid(id, svid) };
    }),
    PostStatus: unary<{ agent_version?: string }, object>(async ({ agent_version = '' }, call) => {
      await agents.setVersion(authorization.agentOf(call).id, agent_version);
      return {};
    }),
  };
}

function forAdministrators({ agents, tokens, log }: AgentServiceOptions) {
  return {
    CountAgents: unary((request: ListRequest) => ({
      count: agents.count(parseAgentFilter(request.filter)),
    })),
    ListAgents: unary((request: ListRequest) => {
      const page = agents.list(
        parseAgentFilter(request.filter),
        parsePage(request, 'ERR_AGENT_PAGE'),
      );
      return {
        agents: page.items.map((agent) => buildAgent(agent, request.output_mask)),
        next_page_token: page.nextPageToken,
      };
    }),
    GetAgent: unary(({ id, output_mask }: IdRequest) => {
      const agentId = parseId(id);
      const agent = agents.get(agentId);
      if (agent !== undefined) return buildAgent(agent, output_mask);
      throw new TrustplaneError('ERR_AGENT_NOT_FOUND', `there is no agent ${agentId.toString()}`);
    }),
    DeleteAgent: unary(async ({ id }: IdRequest) => {
      const agentId = parseId(id);
      await agents.delete(agentId);
      log.info({ agentId: agentId.toString() }, 'agent deleted');
      return {};
    }),
    BanAgent: unary(async ({ id }: IdRequest) => {
      const agentId = parseId(id);
      await agents.ban(agentId);
      log.info({ agentId: agentId.toString() }, 'agent banned');
      return {};
    }),
    CreateJoinToken: unary(async ({ ttl = 0, token = '', agent_id }: TokenRequest) => {
      const made = await tokens.create({
        ttlSeconds: ttl,
        ...(token !== '' && { token }),
        ...(agent_id && {
          agentId: parseSpiffeId(agent_id, 'agent_id', 'ERR_JOIN_TOKEN_AGENT_ID'),
        }),
      });
      log.info({ expiresAt: made.expiresAt }, 'join token created');
      return { value: made.token, expires_at: buildSeconds(made.expiresAt) };
    }),
  };
}

function parseId(id: WireSpiffeId | null | undefined): SpiffeId {
  return parseSpiffeId(id, 'id', 'ERR_AGENT_ID');
}
