import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface DemoOptions {
  /** How long requests flow. */
  readonly seconds: number;
  readonly output: 'text' | 'json';
}

/** What they say when there is no `--seconds`. */
export const defaultSeconds = 30;

/** Throws an Error with a message for people when the arguments are wrong. */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: String(defaultSeconds) },
      output: { type: 'string', default: 'text' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400)
    throw new Error(`--seconds takes a whole number from 1 to 86400, not ${values.seconds}`);
  if (values.output !== 'text' && values.output !== 'json')
    throw new Error(`--output takes text or json, not ${values.output}`);
  return { seconds, output: values.output };
}
