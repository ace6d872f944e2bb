import { z } from 'zod';
import { parseIdPattern } from '../authz/index.ts';
import { messageOf } from '../spiffe/index.ts';
import { absolutePath, option, type Section } from './config-values.ts';

/** As text, so that it can go to another thread; it was parsed once. */
const proxyPattern: z.ZodType<string, string> = z.string().superRefine((text, context) => {
  const say = (message: string): void => context.addIssue({ code: 'custom', message });
  try {
    const pattern = parseIdPattern(text);
    if (pattern.captureNames.length > 0) say('has a capture; nothing can use it');
    if (text.startsWith('spiffe://*')) say('has no trust domain; name it');
  } catch (error) {
    say(messageOf(error));
  }
});
const proxyPatterns = z.array(proxyPattern).min(1).max(256);
const headerName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,126}$/u, {
  error: 'expected the name of a header, in lower case',
});

/** Options `authz.jwtSvid`, `authz.xfcc` and `authz.assertion`. */
export const authzCallersSchemas: {
  readonly [Option in keyof AuthzCallersFile]-?: z.ZodType<AuthzCallersFile[Option]>;
} = {
  jwtSvid: z
    .strictObject({
      header: option(
        headerName,
        'authorization',
        'Header with a JWT-SVID that names the caller, for rules with `credentials: [jwt-svid]`: behind `Bearer` in authorization, alone in any other. Without the section tokens name nobody.',
      ),
      audiences: option(
        z.union([z.literal('destination'), z.array(z.string().min(1).max(2048)).min(1).max(32)]),
        'destination',
        'For whom a token is to be meant: `destination`, the SPIFFE ID of the service that is called, or one of these texts.',
      ),
      peers: proxyPatterns.optional().meta({
        description:
          'Patterns for the SPIFFE IDs whose mTLS connections may carry tokens; without it anybody may.',
        examples: [['spiffe://example.org/gateway']],
      }),
    })
    .optional(),
  xfcc: z
    .strictObject({
      trustedHops: z
        .int()
        .min(1)
        .max(16)
        .meta({
          description:
            'Which element of x-forwarded-client-cert is the caller, counted from the right.',
          examples: [1],
        }),
      proxies: proxyPatterns.meta({
        description:
          'Patterns for the SPIFFE IDs of the proxies that are believed about whom they speak for. Whoever else connects is the caller.',
        examples: [['spiffe://example.org/gateway']],
      }),
    })
    .optional(),
  assertion: z
    .strictObject({
      issuer: z
        .string()
        .min(1)
        .max(2048)
        .optional()
        .meta({
          description:
            'Claim `iss` of assertions that policies have written into headers (`map: { header: assertion }`); by default `spiffe://` and the trust domain. Without the section there are none, and what needs one is denied.',
          examples: ['https://authz.example.org'],
        }),
      ttlSeconds: option(z.int().min(5).max(3600), 60, 'Life of an assertion.'),
      keyFile: absolutePath.optional().meta({
        description:
          'Where the keys that sign are kept, closed to other users; without it each start makes another one.',
        examples: ['/var/lib/trustplane/assertion-keys.json'],
      }),
    })
    .optional(),
};

/** Of section `authz`: who calls, and what the service is told. */
export interface AuthzCallersFile
  extends Section<{
    jwtSvid: Section<{
      header: string;
      audiences: 'destination' | readonly string[];
      peers: readonly string[];
    }>;
    xfcc: { readonly trustedHops: number; readonly proxies: readonly string[] };
    assertion: Section<{ issuer: string; ttlSeconds: number; keyFile: string }>;
  }> {}
