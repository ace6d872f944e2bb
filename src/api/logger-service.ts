import type { LevelControl, Log, LogLevel } from '../ops/index.ts';
import { TrustplaneError } from '../spiffe/index.ts';
import { type GrpcService, loadService } from '../wire/index.ts';
import { unary } from './unary.ts';

/** spire.api.types.LogLevel; there is no panic here. */
const levels: Readonly<Record<string, LogLevel>> = {
  PANIC: 'fatal',
  FATAL: 'fatal',
  ERROR: 'error',
  WARN: 'warn',
  INFO: 'info',
  DEBUG: 'debug',
  TRACE: 'trace',
};

/** spire.api.server.logger.v1.Logger or that of an agent, for local administrators alone. */
export function createLoggerService(
  role: 'server' | 'agent',
  logLevel: LevelControl,
  log: Log,
): GrpcService {
  const answer = (): object => ({
    current_level: logLevel.level.toUpperCase(),
    launch_level: logLevel.configuredLevel.toUpperCase(),
  });
  const set = (level: LogLevel): object => {
    logLevel.level = level;
    log.info({ logLevel: level }, 'the log level was set');
    return answer();
  };
  return {
    definition: loadService(
      `spire/api/${role}/logger/v1/logger.proto`,
      `spire.api.${role}.logger.v1.Logger`,
    ),
    implementation: {
      GetLogger: unary(answer),
      SetLogLevel: unary(({ new_level }: { new_level?: string | number }) =>
        set(parseLevel(new_level)),
      ),
      ResetLogLevel: unary(() => set(logLevel.configuredLevel)),
    },
  };
}

function parseLevel(wire: string | number = 'UNSPECIFIED'): LogLevel {
  const level = levels[wire];
  if (level !== undefined) return level;
  throw new TrustplaneError(
    'ERR_API_REQUEST',
    `new_level: expected one of ${Object.keys(levels).join(', ')}; got ${wire}`,
  );
}
