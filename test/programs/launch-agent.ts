import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type LaunchedServer, logOf, program } from './launch-server.ts';
import { runTrustplane } from './launch-trustplane.ts';
import type { Finished } from './run-program.ts';
import { spawnTied, type TiedChild } from './tied-child.ts';

/** A `trustplane agent run` that has been started. */
export interface LaunchedAgent extends TiedChild {
  /** Workload API and SDS. */
  readonly socket: string;
  /** Every line of its output from the start. */
  readonly log: readonly string[];
  /** The agent's SPIFFE ID, once it has joined. Rejects when it ends before. */
  readonly id: Promise<string>;
  /** Resolves with the first line, past or to come, that has `text`. */
  line(text: string): Promise<string>;
  /** Asks for X509-SVIDs as a workload of this user. */
  fetch(): Promise<Finished>;
}

export interface AgentOptions {
  /** `host:port`; default the one at `server`. */
  readonly servers?: readonly string[];
  /** Written to a file that the agent is started with; default none. */
  readonly config?: string;
  readonly flags?: readonly string[];
}

/** Starts an agent with its state in `folder`; starting again in the same folder finds it. */
export function startAgent(folder: string, options: AgentOptions): LaunchedAgent {
  const { servers = [], config, flags = [] } = options;
  const at = (name: string): string => path.join(folder, name);
  const socket = at('agent.sock');
  if (config !== undefined) writeFileSync(at('agent.yaml'), config);
  const child = spawnTied(process.execPath, [
    program,
    'agent',
    'run',
    `--output=json`,
    `--socket=${socket}`,
    `--data-dir=${at('agent')}`,
    `--cache-key-file=${at('agent-cache.key')}`,
    ...(config === undefined ? [] : ['--config', at('agent.yaml')]),
    ...servers.flatMap((server) => ['--server', server]),
    ...flags,
  ]);
  const { lines: log, line } = logOf(child);
  const id = line('{"ready":true').then((ready): string => JSON.parse(ready).agentId);
  // Awaited by the tests it matters to.
  id.catch(() => {});
  const fetch = (): Promise<Finished> =>
    runTrustplane('api', 'fetch', 'x509', '--output', 'json', '--socket', socket);
  return { ...child, socket, log, id, line, fetch };
}

/** Writes the server's bundle to a file, as an administrator would for a new host. */
export async function writeBundle(folder: string, server: LaunchedServer): Promise<string> {
  const file = path.join(folder, 'bundle.pem');
  const { stdout } = await runTrustplane('bundle', 'show', '--admin-socket', server.adminSocket);
  writeFileSync(file, stdout);
  return file;
}
