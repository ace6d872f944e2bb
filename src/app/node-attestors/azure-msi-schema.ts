import { z } from 'zod';
import { absolutePath, option, reloadable } from '../config-values.ts';
import { agentPathTemplate, caFile, httpsOrigin, metadataEndpoint } from './cloud-schema.ts';

export const AZURE_METADATA = 'http://169.254.169.254';
/** SPIRE's: the service ID of Azure Resource Manager. */
export const AZURE_RESOURCE = 'https://management.azure.com/';

const uuid = z.string().regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/u);
const resource = z.string().min(1).max(512);

const tenant = z
  .strictObject({
    id: uuid.meta({
      description: 'ID of a tenant whose machines may join.',
      examples: ['00000000-0000-0000-0000-000000000001'],
    }),
    resourceId: reloadable(
      option(resource, AZURE_RESOURCE, 'The resource that tokens of machines have to be for.'),
    ),
    subscriptionId: reloadable(
      uuid.optional().meta({
        description:
          'Subscription in which Azure Resource Manager is asked for the machine of an identity, for selectors; a machine that is not in it may not join. Without it only machines with an identity of their own may, and nothing is asked.',
      }),
    ),
    appId: reloadable(
      uuid.optional().meta({
        description:
          'ID of the application the server asks as. Without it the managed identity of the machine the server runs on.',
      }),
    ),
    appSecretFile: reloadable(
      absolutePath.optional().meta({
        description: 'File with the secret of the application, read at each login.',
        examples: ['/etc/trustplane/azure-secret'],
      }),
    ),
  })
  .refine(({ appId, appSecretFile }) => (appId === undefined) === (appSecretFile === undefined), {
    error: 'appId and appSecretFile stand together or not at all',
  })
  .refine(({ appId, subscriptionId }) => appId === undefined || subscriptionId !== undefined, {
    error: 'appId says nothing without subscriptionId',
  });

/** `server.nodeAttestors.azureMsi` */
export const azureMsiServerSchema: z.ZodType<AzureMsiServerFile> = z.strictObject({
  tenants: reloadable(
    z
      .array(tenant)
      .min(1)
      .max(64)
      .refine((tenants) => new Set(tenants.map(({ id }) => id)).size === tenants.length, {
        error: 'a tenant stands there twice',
      })
      .meta({
        description: 'Tenants whose machines may join.',
        examples: [[{ id: '00000000-0000-0000-0000-000000000001' }]],
      }),
  ),
  agentPathTemplate: agentPathTemplate('/azure_msi/{{ .TenantID }}/{{ .PrincipalID }}'),
  authority: reloadable(
    option(
      httpsOrigin,
      'https://login.microsoftonline.com',
      'Where the keys of tenants are, and where the server logs in.',
    ),
  ),
  armEndpoint: reloadable(
    option(httpsOrigin, 'https://management.azure.com', 'Where Azure Resource Manager is.'),
  ),
  metadataEndpoint: reloadable(metadataEndpoint(AZURE_METADATA)),
  caFile,
});

/** `agent.nodeAttestation.azureMsi` */
export const azureMsiAgentSchema: z.ZodType<AzureMsiAgentFile> = z.strictObject({
  metadataEndpoint: metadataEndpoint(AZURE_METADATA),
  resourceId: resource.optional().meta({
    description: `The resource that a token is asked for, as the server has it; without it ${AZURE_RESOURCE}.`,
    examples: ['api://trustplane'],
  }),
});

/** What a server is told of a tenant. */
export interface AzureTenantFile {
  readonly id: string;
  readonly resourceId?: string | undefined;
  readonly subscriptionId?: string | undefined;
  readonly appId?: string | undefined;
  readonly appSecretFile?: string | undefined;
}

/** What a server is told. */
export interface AzureMsiServerFile {
  readonly tenants: readonly AzureTenantFile[];
  readonly agentPathTemplate?: string | undefined;
  readonly authority?: string | undefined;
  readonly armEndpoint?: string | undefined;
  readonly metadataEndpoint?: string | undefined;
  readonly caFile?: string | undefined;
}

/** What an agent is told. */
export interface AzureMsiAgentFile {
  readonly metadataEndpoint?: string | undefined;
  readonly resourceId?: string | undefined;
}
