import { createRequire } from 'node:module';
import type * as Pino from 'pino';
import { type LogLevel, logLevels } from './log-levels.ts';
import { redactText, secretPaths } from './redaction.ts';

/** What rooms need of a logger. Fields come first, as in pino. No secret is ever passed in. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

/** What a log and all its children write; may be set at any time. */
export interface LevelControl {
  /** The least level that is written. */
  level: LogLevel;
  /** What `level` goes back to when it is reset. */
  configuredLevel: LogLevel;
}

const require = createRequire(import.meta.url);

/** Lines that wait while standard error takes none; those after are lost. */
const MAX_UNWRITTEN_CHARS = 1_048_576;

/** A JSON-lines logger on standard error, with secrets redacted by member name and by what they look like. */
export function createLog(options: {
  level: LogLevel;
  destination?: { write(line: string): void };
}): Log & LevelControl {
  // Loaded where lines are written; many threads write none.
  const { pino }: typeof Pino = require('pino');
  const destination = options.destination ?? openStandardError(pino);
  const written = pino(
    {
      level: 'trace',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretPaths, censor: '[redacted]' },
    },
    { write: (line: string) => destination.write(redactText(line)) },
  );
  const gate = { level: options.level };
  return {
    ...gated(written, gate),
    configuredLevel: options.level,
    get level() {
      return gate.level;
    },
    set level(level) {
      gate.level = level;
    },
  };
}

/** pino's children keep the level of their birth; these all ask the one gate. */
function gated(log: Pino.Logger, gate: { readonly level: LogLevel }): Log {
  const writer =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: object, message: string): void => {
      if (logLevels.indexOf(level) >= logLevels.indexOf(gate.level)) log[level](fields, message);
    };
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: (fields) => gated(log.child(fields), gate),
  };
}

/** Where nothing can be written (a full disk, a reader that has gone) lines are lost; the process goes on. */
function openStandardError(pino: typeof Pino.pino): { write(line: string): void } {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: MAX_UNWRITTEN_CHARS });
  destination.on('error', () => {});
  return destination;
}

/** A logger that drops everything. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  child: () => silentLog,
};
