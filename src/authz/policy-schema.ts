import { z } from 'zod';
import { findContradictions } from './find-contradictions.ts';
import type { Pattern } from './pattern.ts';
import type {
  ClaimCondition,
  Conditions,
  FromIds,
  Operation,
  Policy,
  PolicyAssertion,
  PolicyRule,
  PolicyTest,
  ValueCondition,
} from './policy.ts';
import { reasons } from './reasons.ts';
import {
  grpcPattern,
  headerName,
  hostPattern,
  idOrSet,
  idPattern,
  instant,
  ipRange,
  listOf,
  mappedValue,
  method,
  pathPattern,
  shortOperation,
  spiffeId,
  testRequest,
  valuePattern,
} from './schema-values.ts';

const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/u, {
  error: 'expected a name out of a-z, 0-9, ".", "_" and "-", of at most 63 characters',
});
const text = z.string().min(1).max(1024);
const port = z.int().min(1).max(65_535);
const credential = z.enum(['x509-svid', 'jwt-svid']);
const MAX_DECISIONS = 1_000_000_000;

/** One or several; a list of one is the same as its member. */
function oneOrMore<T>(schema: z.ZodType<T, string>): z.ZodType<readonly T[]> {
  return z.union([schema.transform((value) => [value]), listOf(schema)]);
}

/** By names, at least one. */
function recordOf<T>(
  key: z.ZodType<string, string>,
  value: z.ZodType<T>,
): z.ZodType<Readonly<Record<string, T>>> {
  return z.record(key, value).refine((record) => Object.keys(record).length > 0, {
    error: 'is empty; leave it out, or name something',
  });
}

const longOperation = z
  .strictObject({
    methods: listOf(method).optional(),
    paths: listOf(pathPattern).optional(),
    hosts: listOf(hostPattern).optional(),
    port: z.union([port.transform((value) => [value]), listOf(port)]).optional(),
    query: recordOf(text, oneOrMore(valuePattern)).optional(),
    grpc: listOf(grpcPattern).optional(),
  })
  .superRefine((operation, context) => {
    const { grpc, methods, paths, query } = operation;
    const say = (message: string) => context.addIssue({ code: 'custom', message });
    if (Object.values(operation).every((value) => value === undefined))
      say('is empty; an operation names at least one field');
    if (grpc !== undefined && (methods ?? paths ?? query) !== undefined)
      say('has grpc beside methods, paths or query, which it implies');
    if (methods?.includes('ANY') === true && methods.length > 1)
      say('has ANY beside other methods');
  })
  .transform(({ methods, paths, hosts, port: ports, query, grpc }): Operation => {
    const common = { ...(hosts && { hosts }), ...(ports && { ports }) };
    if (grpc !== undefined) return { ...common, methods: ['POST'], paths: grpc, isGrpc: true };
    const verbs = methods?.includes('ANY') === true ? undefined : methods;
    return {
      ...common,
      ...(verbs && { methods: verbs }),
      ...(paths && { paths }),
      ...(query && { query }),
    };
  });

const operations: z.ZodType<readonly Operation[]> = listOf(
  z.union([shortOperation, longOperation]),
);

const from: z.ZodType<'authenticated' | 'anyone' | FromIds> = z.union(
  [
    z.enum(['authenticated', 'anyone']),
    listOf(idOrSet).transform((ids) => ({ ids })),
    z.strictObject({
      ids: listOf(idOrSet),
      except: listOf(idOrSet).optional(),
      anyTrustDomain: z.boolean().optional(),
      credentials: listOf(credential).optional(),
    }),
  ],
  { error: 'expected authenticated, anyone, a list of SPIFFE IDs, or a mapping with ids' },
);

const asValues = (patterns: readonly Pattern[]): ValueCondition => ({ patterns });
const valueCondition: z.ZodType<ValueCondition> = z.union([
  oneOrMore(valuePattern).transform(asValues),
  z
    .strictObject({
      pattern: oneOrMore(valuePattern),
      values: z.enum(['every', 'some']).optional(),
    })
    .transform(({ pattern, values }) => ({ patterns: pattern, values })),
]);

const claimCondition: z.ZodType<ClaimCondition> = z.union([
  oneOrMore(valuePattern).transform((patterns) => ({ patterns, isContained: false })),
  z
    .strictObject({ contains: oneOrMore(valuePattern) })
    .transform(({ contains }) => ({ patterns: contains, isContained: true })),
]);

const conditions: z.ZodType<Conditions> = z
  .strictObject({
    jwt: z
      .strictObject({ issuer: text, claims: recordOf(text, claimCondition).optional() })
      .optional(),
    'source.ip': listOf(ipRange).optional(),
    'destination.ip': listOf(ipRange).optional(),
    time: z
      .strictObject({ from: instant.optional(), until: instant.optional() })
      .refine((time) => time.from !== undefined || time.until !== undefined, {
        error: 'has neither from nor until',
      })
      .optional(),
    headers: recordOf(headerName, valueCondition).optional(),
  })
  .refine((when) => Object.values(when).some((value) => value !== undefined), {
    error: 'is empty; leave it out, or name a condition',
  });

const rule: z.ZodType<PolicyRule> = z.strictObject({
  id: name,
  from,
  allow: operations.optional(),
  deny: operations.optional(),
  when: conditions.optional(),
  map: recordOf(headerName, mappedValue).optional(),
  log: z.enum(['always', 'sampled']).optional(),
});

const test: z.ZodType<PolicyTest> = z.strictObject({
  as: spiffeId.optional(),
  credential: credential.optional(),
  request: testRequest.optional(),
  grpc: z.string().optional(),
  host: text.optional(),
  headers: z.record(headerName, z.union([z.string(), z.array(z.string())])).optional(),
  jwt: z.record(text, z.unknown()).optional(),
  ip: text.optional(),
  destinationIp: text.optional(),
  port: port.optional(),
  body: z.int().min(0).optional(),
  at: instant.optional(),
  service: spiffeId.optional(),
  expect: z.enum(['allow', 'deny']),
  rule: name.optional(),
  reason: z.enum(reasons).optional(),
  map: z.record(headerName, z.string()).optional(),
});

/** Its stage alone is what comes to mind first. */
function textOfMode({ code }: { readonly code?: string }): string | undefined {
  return code === 'invalid_type' ? 'expected a mapping such as { stage: observe }' : undefined;
}

const mode = z
  .strictObject(
    {
      stage: z.enum(['observe', 'canary', 'enforce']),
      percent: z.int().min(0).max(100).optional(),
      promoteAfter: z
        .strictObject({
          decisions: z.int().min(1).max(MAX_DECISIONS),
          disagreements: z.int().min(0).max(MAX_DECISIONS),
        })
        .optional(),
    },
    { error: textOfMode },
  )
  .refine(({ stage, percent }) => (stage === 'canary') === (percent !== undefined), {
    error: 'has percent if, and only if, the stage is canary',
  })
  .refine(({ stage, promoteAfter }) => stage !== 'enforce' || promoteAfter === undefined, {
    error: 'has promoteAfter, but the stage is enforce already',
  });

const request = z.strictObject({
  path: z
    .strictObject({
      nonCanonical: z.enum(['reject']).optional(),
      matrixParameters: z.enum(['reject', 'allow']).optional(),
      trailingSlash: z.enum(['significant']).optional(),
    })
    .optional(),
  body: z.strictObject({ maxBytes: z.int().min(0) }).optional(),
});

const response = z.strictObject({
  deny: z
    .strictObject({
      status: z.literal([401, 403, 429, 503]).optional(),
      body: z.enum(['problem+json', 'none']).optional(),
    })
    .optional(),
});

const claim = z.strictObject({ from: listOf(idOrSet), to: operations });
const assertion: z.ZodType<PolicyAssertion> = z.union(
  [
    z
      .strictObject({ never: claim })
      .transform(({ never }) => ({ kind: 'never' as const, ...never })),
    z.strictObject({ only: claim }).transform(({ only }) => ({ kind: 'only' as const, ...only })),
  ],
  { error: 'expected never or only, each with from and to' },
);

/** The checker of policies and, by `policyJsonSchema`, their JSON Schema. */
export const policySchema: z.ZodType<Policy> = z
  .strictObject({
    apiVersion: z.literal('trustplane/v1'),
    kind: z.literal('Policy'),
    metadata: z.strictObject({
      name,
      owner: text.optional(),
      'version-note': text.optional(),
    }),
    service: z.union([idPattern, z.strictObject({ contextExtension: text })]),
    mode: mode.optional(),
    request: request.optional(),
    sets: z.record(name, listOf(idPattern)).optional(),
    rules: listOf(rule),
    response: response.optional(),
    assert: listOf(assertion).optional(),
    tests: listOf(test).optional(),
  })
  .superRefine((policy, context) => {
    for (const { path, message } of findContradictions(policy))
      context.addIssue({ code: 'custom', path: [...path], message });
  });

/** For editors; what only `trustplane policy check` can tell is not in it. */
export function policyJsonSchema(): object {
  const schema = z.toJSONSchema(policySchema, { io: 'input', target: 'draft-2020-12' });
  return { ...schema, $id: 'urn:trustplane:policy:v1', title: 'trustplane policy' };
}
