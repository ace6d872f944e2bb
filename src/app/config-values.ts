import { isIP } from 'node:net';
import path from 'node:path';
import { z } from 'zod';
import { formatDuration, parseDurationMs } from '../ops/index.ts';
import { messageOf } from '../spiffe/index.ts';

/** A section of the file: whatever it does not say takes its default. */
export type Section<T> = { readonly [K in keyof T]?: T[K] | undefined };

/** Host and port. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

type AddressSchema = z.ZodType<Address, string>;

export const SECOND = 1_000;
export const DAY = 86_400_000;

/** Turns a parser that throws into a schema whose message is the parser's. `form`: what is accepted, for people. */
export function parsed<T>(
  pattern: string,
  form: string,
  parse: (text: string) => T,
): z.ZodType<T, string> {
  return z
    .string()
    .meta({ pattern, $comment: form })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
        return z.NEVER;
      }
    });
}

/** An option and what the JSON Schema, the example file and the reference say of it; `standard` is its default. */
export function option<T>(
  schema: z.ZodType<T>,
  standard: string | number | boolean,
  description: string,
): z.ZodOptional<z.ZodType<T>> {
  return schema.optional().meta({ description, default: standard });
}

/** An option that a running process takes up when it is told to reload. */
export function reloadable<S extends z.ZodType>(schema: S): S {
  return schema.meta({ ...schema.meta(), reloadable: true });
}

export function duration(leastMs: number, mostMs: number): z.ZodType<number, string> {
  const bounds = `${formatDuration(leastMs)} to ${formatDuration(mostMs)}`;
  return parsed('^([0-9]+(ms|s|m|h|d))+$', `duration, ${bounds}`, (text) => {
    const ms = parseDurationMs(text);
    if (ms < leastMs || ms > mostMs)
      throw new Error(`expected a duration of ${bounds}, got ${text}`);
    return ms;
  });
}

export const absolutePath: z.ZodType<string, string> = parsed('^/', 'absolute path', (text) => {
  if (!path.isAbsolute(text) || text.includes('\0'))
    throw new Error(`expected an absolute path, got ${JSON.stringify(text)}`);
  return path.normalize(text);
});

export const loopbackAddress: AddressSchema = parsed(
  '^(127\\.[0-9.]+|\\[::1\\]):[0-9]+$',
  'loopback address and port',
  (text) => {
    const match = /^(127(?:\.\d{1,3}){3}|\[::1\]):(\d{1,5})$/u.exec(text);
    const port = Number(match?.[2]);
    if (match === null || port > 65_535)
      throw new Error(
        `expected a loopback address such as 127.0.0.1:9988, got ${JSON.stringify(text)}`,
      );
    return { host: (match[1] ?? '').replace(/[[\]]/gu, ''), port };
  },
);

export const listenAddress: AddressSchema = parsed(
  '^([0-9.]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+$',
  'IP address and port',
  (text) => {
    const match = /^(?:([0-9.]+)|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu.exec(text);
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    const family = match?.[1] === undefined ? 6 : 4;
    if (isIP(host) !== family || port > 65_535)
      throw new Error(
        `expected an IP address and port such as 0.0.0.0:8081 or [::]:8081, got ${JSON.stringify(text)}`,
      );
    return { host, port };
  },
);

export const serverAddress: AddressSchema = parsed(
  '^([A-Za-z0-9._-]+|\\[[0-9a-fA-F:.]+\\]):[0-9]+$',
  'host and port',
  (text) => {
    const match = /^(?:([a-z0-9._-]{1,253})|\[([0-9a-f:.]+)\]):(\d{1,5})$/iu.exec(text);
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    const isIpv6 = match?.[2] === undefined || isIP(host) === 6;
    if (host === '' || !isIpv6 || !(port >= 1 && port <= 65_535))
      throw new Error(
        `expected a host and port such as server.example:8081, got ${JSON.stringify(text)}`,
      );
    return { host, port };
  },
);
