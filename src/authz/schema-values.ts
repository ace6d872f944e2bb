import { z } from 'zod';
import { messageOf } from '../spiffe/errors.ts';
import { SpiffeId } from '../spiffe/spiffe-id.ts';
import { type IpRange, parseIpRange } from './ip-range.ts';
import {
  parseGrpcPattern,
  parseHostPattern,
  parseIdPattern,
  parseMethod,
  parsePathPattern,
  parseValuePattern,
} from './parse-patterns.ts';
import type { Pattern } from './pattern.ts';
import type { IdOrSet, MappedValue, Operation, PolicyTest } from './policy.ts';

const INSTANT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?Z$/u;
const HEADER = '^[a-z0-9][a-z0-9-]{0,126}$';

/** Turns a parser that throws into a schema. `description`: for the JSON Schema. */
function parsed<T>(description: string, parse: (text: string) => T): z.ZodType<T, string> {
  return z
    .string()
    .meta({ description })
    .transform((text, context) => {
      try {
        return parse(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: messageOf(error) });
        return z.NEVER;
      }
    });
}

export function listOf<T, I>(schema: z.ZodType<T, I>): z.ZodType<readonly T[], readonly I[]> {
  return z.array(schema).min(1, { error: 'is empty; a list here names at least one' });
}

export const idPattern: z.ZodType<Pattern, string> = parsed(
  'pattern for SPIFFE IDs, such as spiffe://example.org/ns/*/sa/web',
  parseIdPattern,
);
export const pathPattern: z.ZodType<Pattern, string> = parsed(
  'pattern for paths, such as /v1/**',
  parsePathPattern,
);
export const hostPattern: z.ZodType<Pattern, string> = parsed(
  'pattern for hosts, such as **.example.org',
  parseHostPattern,
);
export const valuePattern: z.ZodType<Pattern, string> = parsed(
  'text, in which * is one or more characters',
  parseValuePattern,
);
export const grpcPattern: z.ZodType<Pattern, string> = parsed(
  'package.Service/Method or package.Service/*',
  parseGrpcPattern,
);
export const method: z.ZodType<string, string> = parsed('method, upper case, or ANY', parseMethod);

export const idOrSet: z.ZodType<IdOrSet, string> = parsed(
  'pattern for SPIFFE IDs, or $name of a set',
  (text) => (text.startsWith('$') ? { set: text.slice(1) } : parseIdPattern(text)),
);

export const ipRange: z.ZodType<IpRange, string> = parsed(
  'IP address or range, such as 10.8.0.0/16',
  parseIpRange,
);

export const instant: z.ZodType<number, string> = parsed(
  'instant in UTC, such as 2027-01-31T12:00:00Z',
  (text) => {
    const at = INSTANT.test(text) ? Date.parse(text) : Number.NaN;
    if (Number.isNaN(at))
      throw new Error('expected an instant in UTC such as 2027-01-31T12:00:00Z');
    return at;
  },
);

/** `GET /x`, `ANY /x`, or `/x` for any method. */
export const shortOperation: z.ZodType<Operation, string> = parsed(
  'METHOD /path, ANY /path, or /path for any method',
  (text) => {
    const [first = '', path, ...more] = text.split(' ');
    if (more.length > 0) throw new Error('expected METHOD /path with one space between');
    if (path === undefined) return { paths: [parsePathPattern(first)] };
    const verb = parseMethod(first);
    const paths = [parsePathPattern(path)];
    return verb === 'ANY' ? { paths } : { methods: [verb], paths };
  },
);

export const headerName: z.ZodType<string, string> = z
  .string()
  .regex(new RegExp(HEADER, 'u'), { error: 'expected the name of a header, in lower case' });

/** `source.id`, `assertion`, `jwt.<claim>`, or a text with {captures}. */
export const mappedValue: z.ZodType<MappedValue, string> = parsed(
  'source.id, assertion, jwt.<claim>, or a text with {captures}',
  (text) => {
    if (text === 'source.id') return { kind: 'source.id' };
    if (text === 'assertion') return { kind: 'assertion' };
    if (text.startsWith('jwt.')) return { kind: 'claim', claim: text.slice(4) };
    if (!/^[\x21-\x7e]+$/u.test(text)) throw new Error('expected visible ASCII without spaces');
    const parts = text.split(/\{([a-z][a-zA-Z0-9_]*)\}/u);
    if (parts.some((part, at) => at % 2 === 0 && /[{},]/u.test(part)))
      throw new Error('expected {captures} and text without comma and other braces');
    return { kind: 'template', parts };
  },
);

export const spiffeId: z.ZodType<string, string> = parsed('SPIFFE ID', (text) =>
  SpiffeId.parse(text).toString(),
);

export const testRequest: z.ZodType<NonNullable<PolicyTest['request']>, string> = parsed(
  'METHOD /path, as it is sent',
  (text) => {
    const [, verb, target] = /^(\S+) (\S+)$/u.exec(text) ?? [];
    if (verb === undefined || target === undefined) throw new Error('expected METHOD /path');
    return { method: parseMethod(verb), target };
  },
);
