import path from 'node:path';

/** Where things lie unless a flag or the configuration says otherwise. All absolute. */
export interface DefaultPaths {
  readonly dataDir: string;
  /** Of an agent on its own. */
  readonly agentDataDir: string;
  /** Of the agent's cache; not below its data directory. */
  readonly agentCacheKeyFile: string;
  /** Folder of both sockets. */
  readonly runDir: string;
  readonly socket: string;
  readonly adminSocket: string;
}

/**
 * Root: `/var/lib/trustplane` and `/run/trustplane`. Others: the XDG directories, else
 * `/tmp/trustplane-<uid>`.
 */
export function defaultPaths(
  uid: number,
  env: Readonly<Record<string, string | undefined>>,
): DefaultPaths {
  const fallback = fallbackFolder(uid);
  const dataDir =
    uid === 0
      ? '/var/lib/trustplane'
      : (xdg(env.XDG_DATA_HOME) ?? homeData(env.HOME) ?? path.join(fallback, 'data'));
  const configDir =
    uid === 0
      ? '/etc/trustplane'
      : (xdg(env.XDG_CONFIG_HOME) ?? homeConfig(env.HOME) ?? path.join(fallback, 'config'));
  const runDir = uid === 0 ? '/run/trustplane' : (xdg(env.XDG_RUNTIME_DIR) ?? fallback);
  return {
    dataDir,
    agentDataDir: `${dataDir}-agent`,
    agentCacheKeyFile: path.join(configDir, 'agent-cache.key'),
    runDir,
    socket: path.join(runDir, 'agent.sock'),
    adminSocket: path.join(runDir, 'admin.sock'),
  };
}

/** For users without XDG directories. Others may have made it: see `checkFallbackFolder`. */
export function fallbackFolder(uid: number): string {
  return `/tmp/trustplane-${uid}`;
}

/** The XDG specification says that relative paths are to be ignored. */
function xdg(value: string | undefined): string | undefined {
  return value !== undefined && path.isAbsolute(value) ? path.join(value, 'trustplane') : undefined;
}

function homeData(home: string | undefined): string | undefined {
  return inHome(home, path.join('.local', 'share'));
}

function homeConfig(home: string | undefined): string | undefined {
  return inHome(home, '.config');
}

function inHome(home: string | undefined, folder: string): string | undefined {
  return home !== undefined && path.isAbsolute(home) && home !== '/'
    ? path.join(home, folder, 'trustplane')
    : undefined;
}
