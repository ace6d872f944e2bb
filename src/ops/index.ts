/** What every process needs: log, metrics, health, drain, configuration primitives, the clock of the machine. */
export { createLog, type Log, type LogLevel, logLevels, silentLog } from './log.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export { systemClock } from './system-clock.ts';
