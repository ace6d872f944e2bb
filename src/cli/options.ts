import { type Command, InvalidArgumentError, Option } from 'commander';
import { defaultPaths } from '../app/default-paths.ts';
import { checkFallbackFolder } from '../app/fallback-folder.ts';
import { parseDurationMs } from '../ops/duration.ts';
import { messageOf, TrustplaneError } from '../spiffe/index.ts';
import type { Io, OutputFormat } from './io.ts';

/** Options every command has. */
export interface OutputOptions {
  readonly output: OutputFormat;
}

export interface AdminOptions extends OutputOptions {
  readonly adminSocket: string;
}

export interface WorkloadOptions extends OutputOptions {
  readonly socket?: string;
}

export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('-o, --output <format>', 'how results are printed')
      .choices(['text', 'json'])
      .default('text'),
  );
}

export function withAdminSocket(command: Command, io: Io): Command {
  command.hook('preAction', (_, action) => {
    const socket = String(action.getOptionValue('adminSocket'));
    if (socket === '')
      throw new TrustplaneError('ERR_USAGE', '--admin-socket: expected a path; got nothing');
    checkFallbackFolder(io.uid, [socket]);
  });
  return withOutput(command).addOption(
    new Option('--admin-socket <path>', 'Unix socket of the server API')
      .env('TRUSTPLANE_ADMIN_SOCKET')
      .default(defaultPaths(io.uid, io.env).adminSocket),
  );
}

export function withWorkloadSocket(command: Command, io: Io): Command {
  return withSocket(withOutput(command), io);
}

export function withSocket(command: Command, io: Io): Command {
  return command.addOption(
    new Option(
      '--socket <address>',
      `Unix socket of the Workload API, a path or unix:///path (default: $SPIFFE_ENDPOINT_SOCKET, else ${defaultPaths(io.uid, io.env).socket})`,
    ),
  );
}

/** Collects the values of a flag that may be repeated. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), value];
}

/** `90s`, `1h30m`, or plain seconds; in seconds. */
export function ttlSeconds(text: string): number {
  if (/^\d{1,10}$/u.test(text)) return Number(text);
  const ms = parsed(() => parseDurationMs(text));
  if (ms % 1_000 !== 0) throw new InvalidArgumentError(`expected whole seconds, got ${text}.`);
  return ms / 1_000;
}

/** A duration, in milliseconds. */
export function timeoutMs(text: string): number {
  return parsed(() => parseDurationMs(text));
}

/** An RFC 3339 instant or Unix seconds; in Unix seconds. */
export function instantSeconds(text: string): number {
  if (/^\d{1,12}$/u.test(text)) return Number(text);
  const ms = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/u.test(text)
    ? Date.parse(text)
    : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError(
      `expected an instant such as 2027-01-31T12:00:00Z or Unix seconds, got ${text}.`,
    );
  return Math.floor(ms / 1_000);
}

/** A whole number of at least `least`. */
export function count(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d{1,9}$/u.test(text) || value < least)
      throw new InvalidArgumentError(`expected a whole number of at least ${least}, got ${text}.`);
    return value;
  };
}

/** For values of flags. @throws InvalidArgumentError what `parse` threw */
export function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}
