import { z } from 'zod';
import { absolutePath, option, type Section } from './config-values.ts';
import { type NatsFile, natsSchema } from './nats-schema.ts';

/** Whose values are secrets, whatever anybody wants to see. */
const SECRET =
  /^(?:proxy-)?authorization$|^cookie$|^x-forwarded-client-cert$|token|secret|password/u;
const headerName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9_-]{0,126}$/u, {
    error: 'expected the name of a header, in lower case',
  })
  .refine((name) => !SECRET.test(name), { error: 'the values of this header are never logged' });

/** Option `authz.decisionLog`. */
export const decisionLogSchema: z.ZodType<DecisionLogFile> = z.strictObject({
  file: absolutePath.optional().meta({
    description:
      'File that a JSON line is appended to for each decision; made anew once it was renamed.',
    examples: ['/var/log/trustplane/decisions.jsonl'],
  }),
  maxFileBytes: option(
    z.union([
      z.literal(0),
      z
        .int()
        .min(1_048_576)
        .max(2 ** 40),
    ]),
    0,
    'Size beyond which the file is renamed to `.1`, that one to `.2` and so on; 0: never.',
  ),
  keepFiles: option(z.int().min(1).max(100), 5, 'Renamed files that are kept.'),
  stdout: option(z.boolean(), false, 'Write the lines to standard output.'),
  nats: natsSchema.optional().meta({
    description: 'nats-servers that the lines are published to, several in one message.',
  }),
  subject: z
    .string()
    .regex(/^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){0,15}$/u, {
      error: 'expected a NATS subject without wildcards, such as trustplane.decisions',
    })
    .optional()
    .meta({
      description: 'Subject that they are published on.',
      examples: ['trustplane.decisions'],
    }),
  sample: option(
    z.number().min(0).max(1),
    1,
    'Share of the allowed requests that is logged. Denied ones, and what rules with `log: always` match, always are.',
  ),
  headers: z
    .array(headerName)
    .max(16)
    .optional()
    .meta({
      description: 'Headers whose values are logged; of all others the names are.',
      default: [],
      examples: [['x-request-id']],
    }),
});

export type DecisionLogFile = Section<{
  file: string;
  maxFileBytes: number;
  keepFiles: number;
  stdout: boolean;
  nats: NatsFile;
  subject: string;
  sample: number;
  headers: readonly string[];
}>;
