import { parseArgs } from 'node:util';

/** What the command line asks for. */
export interface DemoOptions {
  /** How long requests flow. */
  readonly seconds: number;
  readonly output: 'text' | 'json';
  /** One of those that the demo has; undefined where it has none. */
  readonly variant: string | undefined;
}

/** What they say when there is no `--seconds`. */
export const defaultSeconds = 30;

/** What a demo says of its options. */
export interface OptionsOfDemo {
  /** What `--variant` takes, the default first; without them there is no such option. */
  readonly variants?: readonly string[];
  /** Default 30. */
  readonly seconds?: number;
}

/** Throws an Error with a message for people when the arguments are wrong. */
export function parseOptions(
  args: readonly string[],
  { variants = [], seconds: usual = defaultSeconds }: OptionsOfDemo,
): DemoOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: 'string', default: String(usual) },
      output: { type: 'string', default: 'text' },
      ...(variants.length > 0 && { variant: { type: 'string' } }),
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return 'help';
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400)
    throw new Error(`--seconds takes a whole number from 1 to 86400, not ${values.seconds}`);
  if (values.output !== 'text' && values.output !== 'json')
    throw new Error(`--output takes text or json, not ${values.output}`);
  const { variant = variants[0] }: { variant?: unknown } = values;
  const known = variants.find((one) => one === variant);
  if (known !== variant)
    throw new Error(`--variant takes ${variants.join(', ')}, not ${String(variant)}`);
  return { seconds, output: values.output, variant: known };
}
