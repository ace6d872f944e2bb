import { z } from 'zod';
import { type Address, listenAddress, option, reloadable } from '../config-values.ts';

const port = z.int().min(1).max(65_535);

/** `server.nodeAttestors.httpChallenge` */
export const httpChallengeServerSchema: z.ZodType<HttpChallengeServerFile> = z.strictObject({
  allowedDnsPatterns: reloadable(
    z
      .array(z.string().min(1).max(253))
      .min(1)
      .max(256)
      .meta({
        description:
          'Names of the hosts that may join by answering over HTTP. * stands for any characters of a label, **. at the beginning for any labels.',
        examples: [['node-*.prod.example']],
      }),
  ),
  requiredPort: reloadable(
    port.optional().meta({
      description: 'The only port that hosts may answer at.',
      examples: [80],
    }),
  ),
  allowNonRootPorts: reloadable(
    option(
      z.boolean(),
      true,
      'Let hosts answer at ports from 1024 on as well, which any user of theirs may open.',
    ),
  ),
  tofu: reloadable(
    option(
      z.boolean(),
      true,
      'Trust on first use: a host joins once, until its agent is evicted. false needs a requiredPort below 1024, or allowNonRootPorts: false.',
    ),
  ),
  allowedAddresses: reloadable(
    z
      .array(z.string().max(64))
      .min(1)
      .max(256)
      .optional()
      .meta({
        description:
          'Networks that the hosts are in. Without it all but the own host, link-local addresses, and those of metadata services.',
        examples: [['10.20.0.0/16']],
      }),
  ),
});

/** `agent.nodeAttestation.httpChallenge` */
export const httpChallengeAgentSchema: z.ZodType<HttpChallengeAgentFile> = z.strictObject({
  hostname: z
    .string()
    .min(1)
    .max(253)
    .optional()
    .meta({
      description:
        'DNS name of this host, at which the server asks it. Without it what the host calls itself.',
      examples: ['node-1.prod.example'],
    }),
  agentName: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9-]{0,31}$/u)
    .optional()
    .meta({
      description: 'Tells agents apart that share a host and port. Without it `default`.',
      examples: ['prod'],
    }),
  bindAddress: listenAddress.optional().meta({
    description:
      'Where the agent answers while it attests. Without it a free port on all addresses.',
    examples: ['0.0.0.0:80'],
  }),
  advertisedPort: port.optional().meta({
    description:
      'The port that the server is to ask, where something between passes requests on. Without it the one of bindAddress.',
    examples: [80],
  }),
});

/** What a server is told. */
export interface HttpChallengeServerFile {
  readonly allowedDnsPatterns: readonly string[];
  readonly requiredPort?: number | undefined;
  readonly allowNonRootPorts?: boolean | undefined;
  readonly tofu?: boolean | undefined;
  readonly allowedAddresses?: readonly string[] | undefined;
}

/** What an agent is told. */
export interface HttpChallengeAgentFile {
  readonly hostname?: string | undefined;
  readonly agentName?: string | undefined;
  readonly bindAddress?: Address | undefined;
  readonly advertisedPort?: number | undefined;
}
