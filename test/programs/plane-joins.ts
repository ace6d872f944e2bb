import { type AgentClient, createAgentClient } from '../../src/client/index.ts';
import { SpiffeId, TrustplaneError } from '../../src/spiffe/index.ts';
import type { ServerMember } from './launch-control-plane.ts';
import { type LiveServers, untilDone } from './plane-members.ts';
import { requestUnix } from './unix-http.ts';

const DAY_SECONDS = 86_400;
/** Longer than the program there waits for a server. */
const TIMEOUT_MS = 10_000;
const LOST = ['ERR_JOIN_TOKEN_UNUSABLE'];
const REFUSED = ['ERR_AGENT_BANNED', 'ERR_AGENT_NOT_ATTESTED', 'ERR_TLS_HANDSHAKE'];
/** How gRPC puts that a server ended the connection, for an SVID of an authority that is revoked. */
const CUT = '14 UNAVAILABLE: No connection established';

/** A token, and who became an agent with it. */
interface Spent {
  readonly token: string;
  readonly winners: string[];
  /** Somebody was not told what became of his attempt. */
  isInDoubt: boolean;
}

/** Tokens spent through all servers at once, and agents that are banned or evicted. */
export class PlaneJoins {
  readonly #all: readonly ServerMember[];
  readonly #live: LiveServers;
  readonly #spender: string;
  readonly #tokens: Spent[] = [];
  readonly #banned: string[] = [];
  readonly #evicted: string[] = [];

  constructor(servers: readonly ServerMember[], live: LiveServers, spender: string) {
    this.#all = servers;
    this.#live = live;
    this.#spender = spender;
  }

  get count(): { readonly tokens: number; readonly banned: number; readonly evicted: number } {
    return {
      tokens: this.#tokens.length,
      banned: this.#banned.length,
      evicted: this.#evicted.length,
    };
  }

  /** Has everybody spend one token at once, at whatever state the servers are; resolves with the new agent. */
  async join(): Promise<string | undefined> {
    const { token } = await this.#through((agents) =>
      agents.createJoinToken(DAY_SECONDS, undefined),
    );
    const spent: Spent = { token, winners: [], isInDoubt: false };
    this.#tokens.push(spent);
    await Promise.all(this.#all.map(async (server) => await this.#spend(server, spent)));
    return spent.winners[0];
  }

  async ban(agent: string): Promise<void> {
    await this.#through((agents) => agents.ban(SpiffeId.parse(agent)));
    this.#banned.push(agent);
  }

  async evict(agent: string): Promise<void> {
    await this.#through(async (agents) => {
      await agents.evict(SpiffeId.parse(agent)).catch((error: unknown) => {
        // The try before this one did it.
        if (!(error instanceof TrustplaneError) || error.code !== 'ERR_AGENT_NOT_FOUND')
          throw error;
      });
    });
    this.#evicted.push(agent);
  }

  /** What is not as it was acknowledged, with all servers well; tries the tokens again. */
  async faults(): Promise<readonly string[]> {
    const each = this.#all.map(async (server) => [
      ...(await this.#listFaults(server)),
      ...(await this.#useFaults(server)),
    ]);
    const lists = (await Promise.all(each)).flat();
    await Promise.all(
      this.#tokens.map(async (spent, n) => {
        const server = this.#all[n % this.#all.length];
        if (server !== undefined) await this.#spend(server, spent);
      }),
    );
    const tokens = this.#tokens.flatMap(({ token, winners, isInDoubt }) =>
      winners.length === 1 || (winners.length === 0 && isInDoubt)
        ? []
        : [`the token ${token.slice(0, 4)}… was spent ${winners.length} times`],
    );
    return [...lists, ...tokens];
  }

  async #spend({ address }: ServerMember, spent: Spent): Promise<void> {
    const answer = await this.#ask(`/join?server=${address}&token=${spent.token}`);
    if (answer.isOk) spent.winners.push(answer.text);
    else if (!LOST.includes(answer.text)) spent.isInDoubt = true;
  }

  async #listFaults({ name, adminSocket }: ServerMember): Promise<readonly string[]> {
    const client = createAgentClient(adminSocket);
    try {
      const agents = new Map((await client.list({})).map((agent) => [agent.id, agent]));
      return [
        ...this.#banned.flatMap((id) =>
          agents.get(id)?.banned === true ? [] : [`${name} says that ${id} is not banned`],
        ),
        ...this.#evicted.flatMap((id) =>
          agents.has(id) ? [`${name} says that ${id} is not evicted`] : [],
        ),
      ];
    } finally {
      client.close();
    }
  }

  async #useFaults({ name, address }: ServerMember): Promise<readonly string[]> {
    const spent = this.#tokens.find(({ winners }) => winners.length > 0)?.token ?? '';
    const { text: told } = await this.#ask(`/join?server=${address}&token=${spent}`);
    if (!LOST.includes(told)) return [`${name} tells whoever joins with a spent token: ${told}`];
    const uses = [...this.#banned, ...this.#evicted].map(async (agent) => {
      const { isOk, text } = await this.#ask(`/use?server=${address}&agent=${agent}`);
      const isRefused = REFUSED.includes(text) || text.startsWith(CUT);
      return !isOk && isRefused ? [] : [`${name} tells ${agent}: ${text}`];
    });
    return (await Promise.all(uses)).flat();
  }

  async #ask(path: string): Promise<{ readonly isOk: boolean; readonly text: string }> {
    const asked = { socketPath: this.#spender, path, timeoutMs: TIMEOUT_MS };
    const { status, body } = await requestUnix(asked);
    return { isOk: status === 200, text: body };
  }

  /** Through any live server, until it is acknowledged. */
  async #through<T>(work: (client: AgentClient) => Promise<T>): Promise<T> {
    return await untilDone('a change of agents or tokens', async () => {
      const client = createAgentClient(this.#live.pick().adminSocket);
      try {
        return await work(client);
      } finally {
        client.close();
      }
    });
  }
}
