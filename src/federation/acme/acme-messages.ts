import { z } from 'zod';
import { messageOf, TrustplaneError } from '../../spiffe/index.ts';

const url = z.string().max(2_048);
const status = z.enum([
  'pending',
  'ready',
  'processing',
  'valid',
  'invalid',
  'deactivated',
  'expired',
  'revoked',
]);

/** RFC 7807 */
const problem = z.object({
  type: z.string().max(500).default('about:blank'),
  detail: z.string().max(2_000).default(''),
});

/** RFC 8555, section 7.1.1 */
export const directoryMessage = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  meta: z.object({ externalAccountRequired: z.boolean().default(false) }).optional(),
});
export type Directory = z.infer<typeof directoryMessage>;

/** Section 7.1.3 */
export const orderMessage = z.object({
  status,
  authorizations: z.array(url).max(32),
  finalize: url,
  certificate: url.optional(),
  error: problem.optional(),
});
export type Order = z.infer<typeof orderMessage>;

/** Sections 7.1.4 and 8 */
export const authorizationMessage = z.object({
  status,
  identifier: z.object({ type: z.string(), value: z.string().max(253) }),
  challenges: z
    .array(
      z.object({
        type: z.string(),
        url,
        token: z
          .string()
          .regex(/^[A-Za-z0-9_-]{1,256}$/u)
          .optional(),
        error: problem.optional(),
      }),
    )
    .max(32),
});
export type Authorization = z.infer<typeof authorizationMessage>;

/** Reads what an ACME authority answered; members that are not known are ignored. @throws TrustplaneError ERR_ACME_ANSWER */
export function readMessage<T>(schema: z.ZodType<T>, body: string): T {
  try {
    return schema.parse(JSON.parse(body));
  } catch (error) {
    const why = error instanceof z.ZodError ? z.prettifyError(error) : messageOf(error);
    throw new TrustplaneError(
      'ERR_ACME_ANSWER',
      `the ACME authority's answer is malformed: ${why}`,
    );
  }
}

/** What a refusal says, for messages; and its type. */
export function readProblem(body: string): { readonly type: string; readonly text: string } {
  try {
    const { type, detail } = problem.parse(JSON.parse(body));
    return { type, text: describeProblem({ type, detail }) };
  } catch {
    return { type: '', text: 'without saying why' };
  }
}

/** On one line, without its usual prefix. */
export function describeProblem({ type, detail }: z.infer<typeof problem>): string {
  const short = type.replace('urn:ietf:params:acme:error:', '');
  return `${short}: ${detail}`.replace(/[^\x20-\x7e]+/gu, ' ').slice(0, 500);
}
