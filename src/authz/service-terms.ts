import type { DenyResponse, Policy } from './policy.ts';

/** What the policies of a service say of its requests and answers, beside their rules. */
export interface ServiceTerms {
  readonly allowMatrixParameters: boolean;
  /** Undefined: a body may have any size. */
  readonly maxBodyBytes: number | undefined;
  readonly denyResponse: DenyResponse | undefined;
}

/**
 * The strictest of what policies say of one service: `;` is taken if all take it,
 * the smallest `maxBytes` holds, one denial without body is enough, and of several statuses it is the one that
 * least invites to try again.
 */
export function joinTerms(policies: readonly Policy[]): ServiceTerms {
  return strictest(
    policies.map(({ request, response }) => ({
      allowMatrixParameters: request?.path?.matrixParameters === 'allow',
      maxBodyBytes: request?.body?.maxBytes,
      denyResponse: response?.deny,
    })),
  );
}

/** The same of several services that a request is for at once. */
export function strictest(all: readonly ServiceTerms[]): ServiceTerms {
  const [only, ...others] = all;
  if (only !== undefined && others.length === 0) return only;
  const sizes = all.flatMap(({ maxBodyBytes }) => maxBodyBytes ?? []);
  return {
    allowMatrixParameters: all.every(({ allowMatrixParameters }) => allowMatrixParameters),
    maxBodyBytes: sizes.length === 0 ? undefined : Math.min(...sizes),
    denyResponse: strictestResponse(all.flatMap(({ denyResponse }) => denyResponse ?? [])),
  };
}

const strictestFirst = [403, 401, 429, 503] as const;

function strictestResponse(all: readonly DenyResponse[]): DenyResponse | undefined {
  if (all.length === 0) return undefined;
  const statuses = all.map(({ status }) => status);
  const bodies = all.flatMap(({ body }) => body ?? []);
  return {
    status: strictestFirst.find((status) => statuses.includes(status)),
    body: bodies.includes('none') ? 'none' : bodies[0],
  };
}

/** What is not known exceeds every bound. */
export function isBodyTooLarge(
  { maxBodyBytes }: ServiceTerms,
  bodyBytes: number | undefined,
): boolean {
  return maxBodyBytes !== undefined && (bodyBytes ?? Number.POSITIVE_INFINITY) > maxBodyBytes;
}
