import type { Environment } from '../ops/index.ts';
import {
  type Config,
  type ConfigFlags,
  completeConfig,
  loadConfigFile,
  mergeFlags,
} from './config.ts';
import type { ConfigFile } from './config-schema.ts';
import { defaultPaths } from './default-paths.ts';

/** A configuration, and what was said to make it so. */
export interface LoadedConfig {
  readonly config: Config;
  /** File and flags, without defaults. */
  readonly said: ConfigFile;
}

/** Flags of a command that runs a role. */
export interface RunFlags extends ConfigFlags {
  /** The configuration file. */
  readonly config?: string | undefined;
}

/**
 * Loads the file that `flags` names, if it does, and joins it with flags and defaults.
 * @throws TrustplaneError ERR_CONFIG_FILE, ERR_YAML, ERR_CONFIG
 */
export function loadConfig(flags: RunFlags, uid: number, env: Environment): LoadedConfig {
  const file = flags.config === undefined ? {} : loadConfigFile(flags.config, env);
  const said = mergeFlags(flags, file);
  return { config: completeConfig(said, defaultPaths(uid, env)), said };
}
