import { z } from 'zod';
import { messageOf, TrustplaneError } from '../../spiffe/index.ts';

const url = z.string().max(2_048);
const statuses = [
  'pending',
  'ready',
  'processing',
  'valid',
  'invalid',
  'deactivated',
  'expired',
  'revoked',
] as const;
type Status = (typeof statuses)[number];
const status = z.enum(statuses);

/** RFC 7807 */
interface Problem {
  readonly type: string;
  readonly detail: string;
}
const problem = z.object({
  type: z.string().max(500).default('about:blank'),
  detail: z.string().max(2_000).default(''),
});

/** RFC 8555, section 7.1.1 */
export interface Directory {
  readonly newNonce: string;
  readonly newAccount: string;
  readonly newOrder: string;
  readonly meta?: { readonly externalAccountRequired: boolean } | undefined;
}
export const directoryMessage: z.ZodType<Directory> = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  meta: z.object({ externalAccountRequired: z.boolean().default(false) }).optional(),
});

/** Section 7.1.3 */
export interface Order {
  readonly status: Status;
  readonly authorizations: readonly string[];
  readonly finalize: string;
  readonly certificate?: string | undefined;
  readonly error?: Problem | undefined;
}
export const orderMessage: z.ZodType<Order> = z.object({
  status,
  authorizations: z.array(url).max(32),
  finalize: url,
  certificate: url.optional(),
  error: problem.optional(),
});

/** Sections 7.1.4 and 8 */
export interface Authorization {
  readonly status: Status;
  readonly identifier: { readonly type: string; readonly value: string };
  readonly challenges: readonly Challenge[];
}
interface Challenge {
  readonly type: string;
  readonly url: string;
  readonly token?: string | undefined;
  readonly error?: Problem | undefined;
}
export const authorizationMessage: z.ZodType<Authorization> = z.object({
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
export function describeProblem({ type, detail }: Problem): string {
  const short = type.replace('urn:ietf:params:acme:error:', '');
  return `${short}: ${detail}`.replace(/[^\x20-\x7e]+/gu, ' ').slice(0, 500);
}
