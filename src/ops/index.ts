/** What every process needs: log, metrics, health, drain, configuration primitives, the clock of the machine. */

export {
  readFileBounded,
  removeAtomicLeftovers,
  syncFolder,
  writeFileAtomic,
} from './atomic-file.ts';
export { checkDocument } from './checked-document.ts';
export { type DataDir, openDataDir } from './data-dir.ts';
export { formatDuration, parseDurationMs } from './duration.ts';
export type { Environment } from './expand-variables.ts';
export type { Figure } from './joined-figures.ts';
export { limitLog } from './limit-log.ts';
export { createLog, type LevelControl, type Log, silentLog } from './log.ts';
export { type LogLevel, logLevels } from './log-levels.ts';
export { createMetrics, type Metrics } from './metrics.ts';
export { pause } from './pause.ts';
export { readStartTime } from './process-stat.ts';
export { readBytes } from './read-bytes.ts';
export { type HealthCheck, type ProcessHealth, Readiness } from './readiness.ts';
export {
  type LocatedYaml,
  type Position,
  parseStrictYaml,
  refuseYamlDepth,
} from './strict-yaml.ts';
export { systemClock } from './system-clock.ts';
export { type Span, type SpanFields, type SpanSink, Tracing } from './tracing.ts';
export { watchClock } from './watch-clock.ts';
export { yaml } from './yaml-library.ts';
export { keepYoungGenerationSmall } from './young-generation.ts';
