import { flushCompileCache } from 'node:module';
import type { LoadedConfig } from '../app/load-config.ts';
import type { Running } from '../app/run-process.ts';

/** Late enough that nobody waits for it. */
const KEEP_CODE_AFTER_MS = 10_000;

/**
 * Serves until `stop` resolves, then closes in order; SIGHUP has what `load` brings taken up.
 * @param load undefined where there is no file to load again; then SIGHUP is left to `stop`
 * @throws what failed for good
 */
export async function serveUntilStopped(
  running: Running,
  stop: Promise<undefined>,
  started: LoadedConfig,
  load: (() => LoadedConfig) | undefined,
): Promise<void> {
  const reload = (): void => {
    if (load !== undefined) void running.reload(load, started.said);
  };
  if (load !== undefined) process.on('SIGHUP', reload);
  // Else the compiled code is only kept at the end, and the start after a crash takes twice as long.
  setTimeout(flushCompileCache, KEEP_CODE_AFTER_MS).unref();
  const reason = await Promise.race([stop, running.failed]);
  await running.close();
  if (reason instanceof Error) throw reason;
}
