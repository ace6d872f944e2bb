import type { SpiffeId } from '../spiffe/index.ts';
import { dialAdmin, instant } from './admin-call.ts';

const PAGE_SIZE = 500;

/** An attested agent as the command line prints it. */
export interface AgentView {
  readonly id: string;
  readonly attestationType: string;
  /** Decimal. */
  readonly serialNumber: string;
  /** RFC 3339. */
  readonly expiresAt: string;
  readonly selectors: readonly string[];
  readonly banned: boolean;
  readonly canReattest: boolean;
  readonly version: string;
}

export interface JoinTokenView {
  readonly token: string;
  /** RFC 3339. */
  readonly expiresAt: string;
}

/** Which agents are meant; every part that is given must hold. */
export interface AgentFilterView {
  readonly attestationType?: string | undefined;
  readonly banned?: boolean | undefined;
  readonly canReattest?: boolean | undefined;
  /** Milliseconds since the epoch. */
  readonly expiresBefore?: number | undefined;
}

/** The server API for agents over the admin socket. Every call fails with a TrustplaneError. */
export interface AgentClient {
  list(filter: AgentFilterView): Promise<readonly AgentView[]>;
  get(id: SpiffeId): Promise<AgentView>;
  count(filter: AgentFilterView): Promise<number>;
  ban(id: SpiffeId): Promise<void>;
  evict(id: SpiffeId): Promise<void>;
  /** `agentId`: what the agent is to be known as as well. */
  createJoinToken(ttlSeconds: number, agentId: SpiffeId | undefined): Promise<JoinTokenView>;
  close(): void;
}

interface AgentMessage {
  readonly id?: { readonly trust_domain?: string; readonly path?: string };
  readonly attestation_type?: string;
  readonly x509svid_serial_number?: string;
  readonly x509svid_expires_at?: string;
  readonly selectors?: readonly { readonly type?: string; readonly value?: string }[];
  readonly banned?: boolean;
  readonly can_reattest?: boolean;
  readonly agent_version?: string;
}

interface AgentPage {
  readonly agents?: readonly AgentMessage[];
  readonly next_page_token?: string;
}

/** @throws TrustplaneError ERR_SOCKET_PATH, ERR_SOCKET_PATH_TOO_LONG */
export function createAgentClient(socket: string): AgentClient {
  const { call, close } = dialAdmin(socket);
  const ofId = <R>(method: string, id: SpiffeId): Promise<R> =>
    call<R>('Agent', method, { id: buildId(id) });
  return {
    async list(filter) {
      const views: AgentView[] = [];
      let token = '';
      do {
        const page = await call<AgentPage>('Agent', 'ListAgents', {
          filter: buildFilter(filter),
          page_size: PAGE_SIZE,
          page_token: token,
        });
        views.push(...(page.agents ?? []).map(buildView));
        token = page.next_page_token ?? '';
      } while (token !== '');
      return views;
    },
    get: async (id) => buildView(await ofId<AgentMessage>('GetAgent', id)),
    async count(filter) {
      const request = { filter: buildFilter(filter) };
      return (await call<{ count?: number }>('Agent', 'CountAgents', request)).count ?? 0;
    },
    async ban(id) {
      await ofId('BanAgent', id);
    },
    async evict(id) {
      await ofId('DeleteAgent', id);
    },
    async createJoinToken(ttlSeconds, agentId) {
      const made = await call<{ value?: string; expires_at?: string }>('Agent', 'CreateJoinToken', {
        ttl: ttlSeconds,
        ...(agentId && { agent_id: buildId(agentId) }),
      });
      return { token: made.value ?? '', expiresAt: instant(made.expires_at) };
    },
    close,
  };
}

function buildFilter({ attestationType, banned, canReattest, expiresBefore }: AgentFilterView) {
  return {
    ...(attestationType !== undefined && { by_attestation_type: attestationType }),
    ...(banned !== undefined && { by_banned: { value: banned } }),
    ...(canReattest !== undefined && { by_can_reattest: { value: canReattest } }),
    ...(expiresBefore !== undefined && { by_expires_before: formatGoInstant(expiresBefore) }),
  };
}

/** The form of SPIRE's API. */
function formatGoInstant(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')} +0000 +00`;
}

/** As logs and `api fetch` have serial numbers; the API's are decimal. */
function inHex(decimal: string): string {
  if (!/^\d+$/u.test(decimal)) return decimal;
  const hex = BigInt(decimal).toString(16);
  return hex.padStart(hex.length + (hex.length % 2), '0');
}

function buildView(message: AgentMessage): AgentView {
  return {
    id: `spiffe://${message.id?.trust_domain ?? ''}${message.id?.path ?? ''}`,
    attestationType: message.attestation_type ?? '',
    serialNumber: inHex(message.x509svid_serial_number ?? ''),
    expiresAt: instant(message.x509svid_expires_at),
    selectors: (message.selectors ?? []).map(({ type, value }) => `${type ?? ''}:${value ?? ''}`),
    banned: message.banned ?? false,
    canReattest: message.can_reattest ?? false,
    version: message.agent_version ?? '',
  };
}

function buildId({ trustDomain, path }: SpiffeId) {
  return { trust_domain: trustDomain.name, path };
}
