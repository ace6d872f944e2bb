import { runProgram } from '../run-program.ts';

/** Commands of SPIRE's `spire-server` at an admin socket, whoever serves it. They throw with what it printed. */
export interface ServerCommands {
  /** Runs any command; returns what it printed. */
  run(...args: readonly string[]): Promise<string>;
  createToken(...flags: readonly string[]): Promise<string>;
  agents(): Promise<readonly ListedAgent[]>;
  /** Returns its ID. */
  createEntry(spiffeId: string, parentId: string, ...flags: readonly string[]): Promise<string>;
  readonly x509: AuthorityCommands;
  readonly jwt: AuthorityCommands;
}

export interface ListedAgent {
  readonly spiffeId: string;
  /** Decimal. */
  readonly serialNumber: string;
  readonly banned: boolean;
}

/** `localauthority x509` or `localauthority jwt`; authorities by their IDs. */
export interface AuthorityCommands {
  prepare(): Promise<string>;
  /** Makes the prepared authority the active one; returns the one that is old now. */
  activate(authorityId: string): Promise<string>;
  taint(authorityId: string): Promise<void>;
  revoke(authorityId: string): Promise<void>;
}

export function createServerCommands(program: string, adminSocket: string): ServerCommands {
  const run = async (...args: readonly string[]): Promise<string> => {
    const finished = await runProgram(program, [...args, '-socketPath', adminSocket]);
    if (finished.code === 0) return finished.stdout;
    throw new Error(`spire-server ${args.join(' ')}: ${finished.stdout}${finished.stderr}`.trim());
  };
  const ask: Ask = async (...args) => await run(...args, '-output', 'json');
  return {
    run,
    async createToken(...flags) {
      const made: { value: string } = JSON.parse(await ask('token', 'generate', ...flags));
      return made.value;
    },
    async agents() {
      const { agents }: { agents: WireAgent[] } = JSON.parse(await ask('agent', 'list'));
      return agents.map(({ id, x509svid_serial_number, banned }) => ({
        spiffeId: `spiffe://${id.trust_domain}${id.path}`,
        serialNumber: x509svid_serial_number,
        banned,
      }));
    },
    async createEntry(spiffeId, parentId, ...flags) {
      const what = ['-spiffeID', spiffeId, '-parentID', parentId, ...flags];
      const { results }: { results: [{ entry: { id: string } }] } = JSON.parse(
        await ask('entry', 'create', ...what),
      );
      return results[0].entry.id;
    },
    x509: authorityCommands(ask, 'x509'),
    jwt: authorityCommands(ask, 'jwt'),
  };
}

type Ask = (...args: readonly string[]) => Promise<string>;

interface WireAgent {
  readonly id: { readonly trust_domain: string; readonly path: string };
  readonly x509svid_serial_number: string;
  readonly banned: boolean;
}

interface WireAuthority {
  readonly authority_id: string;
}

function authorityCommands(ask: Ask, kind: 'x509' | 'jwt'): AuthorityCommands {
  const command = ['localauthority', kind];
  return {
    async prepare() {
      const made: { prepared_authority: WireAuthority } = JSON.parse(
        await ask(...command, 'prepare'),
      );
      return made.prepared_authority.authority_id;
    },
    async activate(authorityId) {
      await ask(...command, 'activate', '-authorityID', authorityId);
      const state: { active: WireAuthority; old: WireAuthority } = JSON.parse(
        await ask(...command, 'show'),
      );
      if (state.active.authority_id === authorityId) return state.old.authority_id;
      throw new Error(`${state.active.authority_id} is active, ${authorityId} should be`);
    },
    taint: async (authorityId) =>
      void (await ask(...command, 'taint', '-authorityID', authorityId)),
    revoke: async (authorityId) =>
      void (await ask(...command, 'revoke', '-authorityID', authorityId)),
  };
}
