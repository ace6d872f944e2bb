import { pino } from 'pino';

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof logLevels)[number];

/** What rooms need of a logger. Fields come first, as in pino. No secret is ever passed in. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

/** Member names that never reach the log, at any of the first three depths. */
const SECRET_NAMES = ['privateKey', 'private_key', 'x509_svid_key', 'token', 'svid', 'passphrase'];

/** Lines that wait while standard error takes none; those after are lost. */
const MAX_UNWRITTEN_CHARS = 1_048_576;

/** A JSON-lines logger on standard error, with secrets redacted by member name. */
export function createLog(options: {
  level: LogLevel;
  destination?: { write(line: string): void };
}): Log {
  const paths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths, censor: '[redacted]' },
    },
    options.destination ?? openStandardError(),
  );
}

/** Where nothing can be written (a full disk, a reader that has gone) lines are lost; the process goes on. */
function openStandardError(): { write(line: string): void } {
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
