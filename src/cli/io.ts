import { messageOf, printable, TrustplaneError } from '../spiffe/index.ts';

export type OutputFormat = 'text' | 'json';

/** What a command may touch of the process, so that tests can pass their own. */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly uid: number;
}

/** Ends a command that has printed what it found, with an exit code that says so. */
export class Finished extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}

export const processIo: Io = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  env: process.env,
  uid: process.getuid?.() ?? -1,
};

/** Prints `value` as JSON, or `text` for people; what outside text in it would do to a terminal is shown instead. */
export function print(io: Io, format: OutputFormat, value: object, text: string): void {
  io.out(format === 'json' ? `${JSON.stringify(value, null, 2)}\n` : `${forTerminal(text)}\n`);
}

function forTerminal(text: string): string {
  return text.replaceAll(/[^\n\t]+/gu, (part) => printable(part));
}

/** Reports a failed command on standard error and returns its exit code. */
export async function reportFailure(io: Io, format: OutputFormat, error: unknown): Promise<number> {
  const code = error instanceof TrustplaneError ? error.code : 'ERR_INTERNAL';
  const message = messageOf(error);
  io.err(
    format === 'json'
      ? `${JSON.stringify({ error: { code, message } })}\n`
      : `trustplane: ${forTerminal(message)} (${code})\n`,
  );
  const { exitCodeOf } = await import('../wire/index.ts');
  return exitCodeOf(error);
}
