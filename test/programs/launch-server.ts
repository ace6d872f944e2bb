import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Client } from '@grpc/grpc-js';
import { type AgentClient, createAgentClient } from '../../src/client/index.ts';
import { SpiffeId } from '../../src/spiffe/index.ts';
import { dialTls, type TlsIdentity } from '../../src/wire/index.ts';
import { FleetClient } from '../fakes/open-fleet.ts';
import { runTrustplane } from './launch-trustplane.ts';
import { spawnTied, type TiedChild } from './tied-child.ts';

/** The program itself, to be run with this Node. */
export const program: string = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');

/** A running `trustplane server run`, or `trustplane up` that serves agents too. */
export interface LaunchedServer extends TiedChild {
  readonly port: number;
  readonly adminSocket: string;
  /** Every line of its output from the start. */
  readonly log: readonly string[];
  /** Runs a command on its admin socket with `--output json`; throws unless it ends with 0. */
  ask(...args: readonly string[]): Promise<Answer>;
  /** A client of its own connection that believes the server; without an identity it is anonymous. */
  dial(identity?: TlsIdentity): FleetClient;
  /** Over the admin socket, without a command. */
  readonly agents: AgentClient;
  /** Makes a join token. */
  makeToken(): Promise<string>;
  /** Resolves with the first line, past or to come, that has `text`. */
  line(text: string): Promise<string>;
}

/** What a command prints; tests take from it what they know is there. */
type Answer = ReturnType<typeof JSON.parse>;

export interface LaunchOptions {
  /** Default `server run`. */
  readonly role?: 'server run' | 'up';
  /** Sections of the configuration file beside the places, in YAML. */
  readonly config?: string;
  /** Default any free one. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** What runs the program, such as `prlimit --fsize=1000000`. */
  readonly under?: readonly string[];
}

/** Writes the file that `launchServer` starts with; a running server takes it up at SIGHUP. */
export function writeServerConfig(folder: string, config: string): void {
  writeFileSync(path.join(folder, 'trustplane.yaml'), config);
}

/** Starts a server with its data in `folder`; starting again in the same folder finds the same data. */
export async function launchServer(
  folder: string,
  options: LaunchOptions = {},
): Promise<LaunchedServer> {
  const { role = 'server run', config = '{}', port = 0, env, under = [] } = options;
  const at = (name: string): string => path.join(folder, name);
  writeServerConfig(folder, config);
  const adminSocket = at('admin.sock');
  const places = ['--config', at('trustplane.yaml'), '--data-dir', at('data')];
  const sockets = [
    '--admin-socket',
    adminSocket,
    ...(role === 'up' ? ['--socket', at('agent.sock')] : []),
  ];
  const bind = ['--bind-address', `127.0.0.1:${port}`, '--output', 'json'];
  const [command = '', ...args] = [
    ...under,
    process.execPath,
    program,
    ...role.split(' '),
    ...places,
    ...sockets,
    ...bind,
  ];
  const child = spawnTied(command, args, { env: { ...process.env, ...env } });
  const { lines: log, line } = logOf(child);
  const ready: Answer = JSON.parse(await line('{"ready":true'));
  const bound = Number(String(ready.address).split(':').at(-1));
  const ask = async (...words: readonly string[]): Promise<Answer> => {
    const more = ['--admin-socket', adminSocket, '--output', 'json'];
    const { code, stdout, stderr } = await runTrustplane(...words, ...more);
    if (code !== 0) throw new Error(`exit code ${code}: ${stderr}\n${log.join('\n')}`);
    return JSON.parse(stdout);
  };
  const agents = createAgentClient(adminSocket);
  void child.ended.then(() => agents.close());
  return {
    ...child,
    port: bound,
    adminSocket,
    agents,
    log,
    ask,
    line,
    dial: (identity) => dialServer(bound, identity),
    makeToken: async () => (await agents.createJoinToken(600, undefined)).token,
  };
}

/** A client of the server at a port of this host, which it believes. */
function dialServer(port: number, identity?: TlsIdentity): FleetClient {
  const { target, credentials, options } = dialTls({
    host: '127.0.0.1',
    port,
    ...(identity && { identity: () => identity }),
    trust: { onUnverified: () => {} },
  });
  return new FleetClient(new Client(target, credentials, options));
}

/** An agent that has joined, and what it presents. */
export interface JoinedAgent extends TlsIdentity {
  readonly id: SpiffeId;
}

/** Joins with a token of its own. */
export async function joinServer(server: LaunchedServer): Promise<JoinedAgent> {
  const client = server.dial();
  try {
    const identity = await client.attest('join_token', Buffer.from(await server.makeToken()));
    return { ...identity, id: SpiffeId.parse(identity.id) };
  } finally {
    client.close();
  }
}

/** Every line of a child's output from now on. */
export interface ChildLog {
  readonly lines: readonly string[];
  /** Resolves with the first line, past or to come, that has `text`; rejects when the child ends before. */
  line(text: string): Promise<string>;
}

export function logOf(child: TiedChild): ChildLog {
  const lines: string[] = [];
  child.onLine((line) => void lines.push(line));
  return {
    lines,
    async line(text) {
      const known = lines.find((line) => line.includes(text));
      if (known !== undefined) return known;
      const said = new Promise<string>((resolve) => {
        child.onLine((line) => void (line.includes(text) && resolve(line)));
      });
      const early = child.ended.then((how) => {
        throw new Error(`it ended with ${how} before "${text}":\n${lines.join('\n')}`);
      });
      return await Promise.race([said, early]);
    },
  };
}
