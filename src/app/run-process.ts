import { watchClock } from '../ops/index.ts';
import type { Config } from './config.ts';
import type { LoadedConfig } from './load-config.ts';
import { openMetrics } from './open-metrics.ts';
import { openTracing } from './open-tracing.ts';
import { drain, type Process } from './process.ts';

const DAY_MS = 86_400_000;

/** A process that serves. */
export interface Running {
  /** Resolves when something failed for good. */
  readonly failed: Promise<Error>;
  /** Takes up what can be of a configuration that was `started` with and has changed. Never rejects. */
  reload(load: () => LoadedConfig, started: LoadedConfig['said']): Promise<void>;
  /** Drains and closes everything, last opened first. */
  close(): Promise<void>;
}

/**
 * Starts what serves; resolves when it does.
 * @throws TrustplaneError of whatever could not be opened; then nothing is left open
 */
export async function runProcess<Served extends object>(
  config: Config,
  process: Process,
  start: () => Promise<Served>,
): Promise<Served & Running> {
  const { closing, log, logLevel, readiness, reloader } = process;
  // Who waits for another program to start, as for a store, may have nothing else that keeps him alive.
  const waiting = setInterval(() => {}, DAY_MS);
  try {
    if (config.x509SvidTtlMs > config.caTtlMs / 6) {
      log.warn(
        { x509SvidTtlMs: config.x509SvidTtlMs, caTtlMs: config.caTtlMs },
        'X509-SVIDs that live longer than a sixth of the CA are cut short before a rotation',
      );
    }
    process.metrics.readGauge(
      'trustplane_app_ready',
      '1 while the process is ready, else 0.',
      (set) => set({}, readiness.check().isReady ? 1 : 0),
    );
    closing.defer(watchClock({ ...process, monotonic: () => performance.now() }));
    await openMetrics(config, process);
    await openTracing(config, process);
    reloader.add(['log.level'], (next) => {
      logLevel.configuredLevel = next.logLevel;
      logLevel.level = next.logLevel;
    });
    const served = await start();
    readiness.start();
    return {
      ...served,
      failed: process.failed,
      reload: (load, started) => reloader.reload(load, started),
      async close() {
        readiness.stop();
        log.info({}, 'stopping');
        await drain(process);
        await closing.disposeAsync();
        log.info({}, 'stopped');
      },
    };
  } catch (error) {
    readiness.stop();
    await closing.disposeAsync();
    throw error;
  } finally {
    clearInterval(waiting);
  }
}
