import { createReadStream } from 'node:fs';
import { type AccessLogEntry, maxAccessLogLineBytes, parseAccessLogEntry } from '../envoy/index.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';

const MAX_LINES = 100_000;

/** What is in an access log; lines count from 1, and empty ones are none. */
export interface AccessLog {
  readonly lines: readonly { readonly number: number; readonly entry: AccessLogEntry }[];
  /** One of each line that is none of an access log, as `file:line: what is wrong`. */
  readonly mistakes: readonly string[];
}

/**
 * Reads one line, a file of them, or standard input for `-`.
 * @throws TrustplaneError ERR_ACCESS_LOG when the only line is none, or there are too many; ERR_FILE_READ
 */
export async function readAccessLog(source: string): Promise<AccessLog> {
  if (/^\s*(?:\{|rbac_access_denied_)/u.test(source))
    return { lines: [{ number: 1, entry: parseAccessLogEntry(source) }], mistakes: [] };
  const name = source === '-' ? 'standard input' : source;
  const lines: { readonly number: number; readonly entry: AccessLogEntry }[] = [];
  const mistakes: string[] = [];
  for await (const { number, text } of linesOf(source, name)) {
    if (number > MAX_LINES)
      throw new TrustplaneError('ERR_ACCESS_LOG', `${name} has more than ${MAX_LINES} lines`);
    try {
      if (text === undefined)
        throw new TrustplaneError(
          'ERR_ACCESS_LOG',
          `the line has more than ${maxAccessLogLineBytes} characters, the most that are read`,
        );
      if (text.trim() !== '') lines.push({ number, entry: parseAccessLogEntry(text) });
    } catch (error) {
      mistakes.push(`${name}:${number}: ${messageOf(error)}`);
    }
  }
  if (lines.length > 0) return { lines, mistakes };
  throw new TrustplaneError('ERR_ACCESS_LOG', mistakes[0] ?? `${name} has no line`);
}

interface Line {
  readonly number: number;
  /** Undefined: too long. */
  readonly text: string | undefined;
}

/** Holds no more of a line than may be read. */
async function* linesOf(source: string, name: string): AsyncGenerator<Line> {
  let number = 1;
  let rest = '';
  let isTooLong = false;
  const end = (text: string): Line => {
    const whole = isTooLong || text.length > maxAccessLogLineBytes ? undefined : text;
    isTooLong = false;
    return { number: number++, text: whole };
  };
  try {
    for await (const part of textsOf(source)) {
      const [first = '', ...more] = part.split('\n');
      rest += isTooLong ? '' : first;
      for (const text of more) {
        yield end(rest);
        rest = text;
      }
      if (rest.length > maxAccessLogLineBytes) [rest, isTooLong] = ['', true];
    }
  } catch (cause) {
    if (cause instanceof TrustplaneError) throw cause;
    const message = `${name} could not be read: ${messageOf(cause)}`;
    throw new TrustplaneError('ERR_FILE_READ', message, { cause });
  }
  if (rest !== '' || isTooLong) yield end(rest);
}

async function* textsOf(source: string): AsyncGenerator<string> {
  const stream = source === '-' ? process.stdin : createReadStream(source);
  const decoder = new TextDecoder();
  for await (const part of stream) yield decoder.decode(Buffer.from(part), { stream: true });
}
