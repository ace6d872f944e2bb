import { z } from 'zod';
import { absolutePath, DAY, duration, option, reloadable, SECOND } from '../config-values.ts';
import { agentPathTemplate, caFile, httpsOrigin, metadataEndpoint } from './cloud-schema.ts';

export const AWS_METADATA = 'http://169.254.169.254';

const endpoint = (service: string) =>
  reloadable(
    httpsOrigin.optional().meta({
      description: `Where ${service} is asked, for all regions; without it where AWS has it.`,
    }),
  );

/** `server.nodeAttestors.awsIid` */
export const awsIidServerSchema: z.ZodType<AwsIidServerFile> = z
  .strictObject({
    accounts: reloadable(
      z
        .array(z.string().regex(/^\d{12}$/u))
        .min(1)
        .max(1_000)
        .optional()
        .meta({
          description:
            'IDs of the accounts whose instances may join. This or anyAccount is needed.',
          examples: [['123456789012']],
        }),
    ),
    anyAccount: reloadable(
      option(z.boolean(), false, 'Whether instances of every account of AWS there is may join.'),
    ),
    certificatesFolder: reloadable(
      absolutePath.meta({
        description:
          'Folder of files <region>.pem with the certificates that AWS publishes for RSA-2048 signatures. Instances of other regions may not join.',
        examples: ['/etc/trustplane/aws'],
      }),
    ),
    maxInstanceAge: reloadable(
      duration(60 * SECOND, 365 * DAY)
        .optional()
        .meta({
          description: 'How long after its launch an instance may join. Without it at any time.',
          examples: ['1h'],
        }),
    ),
    skipBlockDevice: reloadable(
      option(
        z.boolean(),
        false,
        'Whether an instance may join whose root disk is not the one it was launched with.',
      ),
    ),
    roleSelectors: reloadable(
      option(
        z.boolean(),
        true,
        'Whether IAM is asked for the roles of an instance, for selectors.',
      ),
    ),
    agentPathTemplate: agentPathTemplate(
      '/aws_iid/{{ .AccountID }}/{{ .Region }}/{{ .InstanceID }}',
    ),
    credentialsFile: reloadable(
      absolutePath.optional().meta({
        description:
          "File of credentials as AWS's command line keeps it, section default, read at each call. Without it the role of the instance that the server runs on.",
        examples: ['/etc/trustplane/aws-credentials'],
      }),
    ),
    assumeRole: reloadable(
      z
        .string()
        .regex(/^(?:[\w+=,.@-]{1,64}\/){0,4}[\w+=,.@-]{1,64}$/u)
        .optional()
        .meta({
          description: 'Name of a role that the server takes on in the account of the instance.',
          examples: ['trustplane-describe'],
        }),
    ),
    ec2Endpoint: endpoint('EC2'),
    iamEndpoint: endpoint('IAM'),
    stsEndpoint: endpoint('STS'),
    metadataEndpoint: reloadable(metadataEndpoint(AWS_METADATA)),
    caFile,
  })
  .refine(({ accounts, anyAccount }) => (accounts === undefined) === (anyAccount === true), {
    error: 'either accounts stands there, or anyAccount: true',
  });

/** `agent.nodeAttestation.awsIid` */
export const awsIidAgentSchema: z.ZodType<AwsIidAgentFile> = z.strictObject({
  metadataEndpoint: metadataEndpoint(AWS_METADATA),
});

/** What a server is told. */
export interface AwsIidServerFile {
  readonly accounts?: readonly string[] | undefined;
  readonly anyAccount?: boolean | undefined;
  readonly certificatesFolder: string;
  readonly maxInstanceAge?: number | undefined;
  readonly skipBlockDevice?: boolean | undefined;
  readonly roleSelectors?: boolean | undefined;
  readonly agentPathTemplate?: string | undefined;
  readonly credentialsFile?: string | undefined;
  readonly assumeRole?: string | undefined;
  readonly ec2Endpoint?: string | undefined;
  readonly iamEndpoint?: string | undefined;
  readonly stsEndpoint?: string | undefined;
  readonly metadataEndpoint?: string | undefined;
  readonly caFile?: string | undefined;
}

/** What an agent is told. */
export interface AwsIidAgentFile {
  readonly metadataEndpoint?: string | undefined;
}
