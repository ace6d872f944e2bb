import { z } from 'zod';
import { DAY, duration, SECOND, type Section } from './config-values.ts';

/** Section `authz.facts`. */
export const authzFactsSchema: z.ZodType<AuthzFactsFile> = z.strictObject({
  maxAge: duration(30 * SECOND, 30 * DAY)
    .optional()
    .meta({
      description:
        'How long `trustplane authz run` trusts anybody by what the agent told last, while it tells nothing; then every caller is of an unknown trust domain. Without it for as long as their certificates are valid.',
      examples: ['1h'],
    }),
});

export type AuthzFactsFile = Section<{ maxAge: number }>;
