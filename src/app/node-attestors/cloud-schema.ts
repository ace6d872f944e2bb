import { z } from 'zod';
import { absolutePath, parsed, reloadable } from '../config-values.ts';

/** An origin, of these protocols. */
function origin(pattern: string, ...protocols: readonly string[]): z.ZodType<string, string> {
  const form = `${protocols.map((each) => each.slice(0, -1)).join(' or ')} URL without a path`;
  return parsed(pattern, form, (text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    const isBare = url?.pathname === '/' && url.search === '' && url.username === '';
    if (url !== undefined && isBare && protocols.includes(url.protocol)) return url.origin;
    throw new Error(`expected an ${form}, got ${JSON.stringify(text)}`);
  });
}

export const httpsOrigin: z.ZodType<string, string> = origin('^https://', 'https:');

/** Metadata services speak HTTP on a link of the machine's own. */
const metadataOrigin = origin('^https?://', 'http:', 'https:');

export const caFile: z.ZodType<string | undefined> = reloadable(
  absolutePath.optional().meta({
    description:
      "PEM file of the authorities that vouch for the cloud's APIs. Without it the machine's.",
    examples: ['/etc/trustplane/proxy-ca.pem'],
  }),
);

export function agentPathTemplate(standard: string): z.ZodType<string | undefined> {
  return reloadable(
    z
      .string()
      .min(1)
      .max(2048)
      .optional()
      .meta({
        description: `Path of their agents below /spire/agent; without it ${standard}.`,
        examples: [standard],
      }),
  );
}

/** Where a metadata service is, if it is not where its cloud has it. */
export function metadataEndpoint(standard: string): z.ZodType<string | undefined> {
  return metadataOrigin.optional().meta({
    description: `Where the metadata service of the machine is; without it ${standard}.`,
    examples: [standard],
  });
}
