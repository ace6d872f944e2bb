import { describe, expect, it } from 'vitest';
import { buildAgentConfig } from './agent-config.ts';
import { defaultPaths } from './default-paths.ts';

const paths = { agentDataDir: '/var/lib/agent', agentCacheKeyFile: '/etc/agent.key' };

describe('the cache of an agent', () => {
  it('is on, with the default key file, unless the file says otherwise', () => {
    const cacheOf = (cache?: { enabled?: boolean; keyFile?: string }) =>
      buildAgentConfig({ cache }, paths).agentCache;
    expect(buildAgentConfig(undefined, paths).agentCache).toEqual({ keyFile: '/etc/agent.key' });
    expect(cacheOf({ keyFile: '/run/key' })).toEqual({ keyFile: '/run/key' });
    expect(cacheOf({ enabled: false, keyFile: '/run/key' })).toBeUndefined();
  });

  it.each([
    [0, {}, '/etc/trustplane/agent-cache.key'],
    [1000, { XDG_CONFIG_HOME: '/c' }, '/c/trustplane/agent-cache.key'],
    [1000, { HOME: '/home/u' }, '/home/u/.config/trustplane/agent-cache.key'],
    [1000, {}, '/tmp/trustplane-1000/config/agent-cache.key'],
  ])('has its key for uid %i with %o in %s, outside the data directory', (uid, env, file) => {
    const { agentCacheKeyFile, agentDataDir } = defaultPaths(uid, env);
    expect(agentCacheKeyFile).toBe(file);
    expect(agentCacheKeyFile.startsWith(`${agentDataDir}/`)).toBe(false);
  });
});
