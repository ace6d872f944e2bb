import type { Clock } from '../spiffe/index.ts';
import type { Log } from './log.ts';

/** Lines of one message and level in this time; so many tell what happens, and fill no disk. */
const MAX_LINES = 20;
const WINDOW_MS = 60_000;

type Level = 'info' | 'warn' | 'error';

/**
 * A log for what others can cause: of one message it writes 20 lines a minute, then how many more
 * there were. Messages are constants; what varies stands in the fields. Debug lines are not limited:
 * who asks for them wants them.
 */
export function limitLog(log: Log, clock: Clock): Log {
  return withLimit(log, new LineLimit(log, clock));
}

function withLimit(log: Log, limit: LineLimit): Log {
  const limited =
    (level: Level) =>
    (fields: object, message: string): void => {
      if (limit.admits(level, message)) log[level](fields, message);
    };
  return {
    debug: (fields, message) => log.debug(fields, message),
    info: limited('info'),
    warn: limited('warn'),
    error: limited('error'),
    child: (fields) => withLimit(log.child(fields), limit),
  };
}

/** Shared by a log and its children. */
class LineLimit {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #lines = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  admits(level: Level, message: string): boolean {
    const key = `${level} ${message}`;
    const lines = this.#lines.get(key) ?? 0;
    if (lines === 0) this.#clock.setTimer(WINDOW_MS, () => this.#endWindow(key, level, message));
    this.#lines.set(key, lines + 1);
    return lines < MAX_LINES;
  }

  #endWindow(key: string, level: Level, message: string): void {
    const suppressed = (this.#lines.get(key) ?? 0) - MAX_LINES;
    this.#lines.delete(key);
    if (suppressed > 0)
      this.#log[level]({ suppressed, line: message }, 'log lines were suppressed');
  }
}
