import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { logOf, program } from './launch-server.ts';
import { spawnTied, type TiedChild } from './tied-child.ts';

/** A `trustplane authz run` that has been started. */
export interface LaunchedAuthz extends TiedChild {
  /** Where a proxy asks. */
  readonly authzSocket: string;
  /** Resolves when it goes by what the agent knows. Rejects when it ends before. */
  readonly ready: Promise<string>;
  /** Resolves with the first line, past or to come, that has `text`. */
  line(text: string): Promise<string>;
}

export interface AuthzOptions {
  readonly agentSocket: string;
  /** What `authz` of its configuration says beside its socket. */
  readonly authz: object;
  readonly metrics?: object;
  /** Who runs it, alone in a group of the same number; default the user of the tests. */
  readonly uid?: number;
}

/** Starts an authorization server of its own with its files in `folder`; again in the same folder it takes the same place. */
export function launchAuthz(folder: string, options: AuthzOptions): LaunchedAuthz {
  const authzSocket = path.join(folder, 'authz.sock');
  const file = path.join(folder, 'authz.yaml');
  const { agentSocket, authz, metrics, uid } = options;
  writeFileSync(file, JSON.stringify({ authz: { socket: authzSocket, ...authz }, metrics }));
  const flags = ['--config', file, '--socket', agentSocket, '--output', 'json'];
  const user = uid === undefined ? {} : { uid, gid: uid };
  const child = spawnTied(process.execPath, [program, 'authz', 'run', ...flags], user);
  const { line } = logOf(child);
  const ready = line('{"ready":true');
  // Awaited by the tests it matters to.
  ready.catch(() => {});
  return { ...child, authzSocket, ready, line };
}
