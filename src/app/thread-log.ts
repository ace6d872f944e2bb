import type { Log, LogLevel } from '../ops/index.ts';

/** A line that is written on another thread. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: object;
  readonly message: string;
}

/** A log whose lines go elsewhere. Those for debugging go only while `level` says so: they may be many. */
export function createThreadLog(send: (line: LogLine) => void, level: () => LogLevel): Log {
  return createChild({});

  function createChild(common: object): Log {
    const writer = (name: LogLine['level']) => (fields: object, message: string) =>
      send({ level: name, fields: { ...common, ...fields }, message });
    const debug = writer('debug');
    return {
      debug: (fields, message) => {
        if (level() === 'debug' || level() === 'trace') debug(fields, message);
      },
      info: writer('info'),
      warn: writer('warn'),
      error: writer('error'),
      child: (fields) => createChild({ ...common, ...fields }),
    };
  }
}
