import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AwsCloud, startAwsCloud } from '../fakes/aws-cloud.ts';
import {
  type AzureCloud,
  PRINCIPAL,
  SUBSCRIPTION,
  startAzureCloud,
  TENANT,
} from '../fakes/azure-cloud.ts';
import { makeCloudTls } from '../fakes/cloud-server.ts';
import { type GcpCloud, startGcpCloud } from '../fakes/gcp-cloud.ts';
import { eventually } from '../programs/eventually.ts';
import { startAgent } from '../programs/launch-agent.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const WEB = 'spiffe://example.org/web';
const folder = createRunFolder();
const closing = new AsyncDisposableStack();
let aws: AwsCloud;
let gcp: GcpCloud;
let azure: AzureCloud;
let server: LaunchedServer;

beforeAll(async () => {
  closing.defer(() => folder.remove());
  const tls = await makeCloudTls();
  aws = closing.use(await startAwsCloud(tls, Date.now()));
  gcp = closing.use(await startGcpCloud(tls, Date.now));
  azure = closing.use(await startAzureCloud(tls, Date.now));
  const file = (name: string, text: string): string => {
    const place = path.join(folder.path, name);
    mkdirSync(path.dirname(place), { recursive: true });
    writeFileSync(place, text);
    return place;
  };
  const certificate = file('aws/eu-central-1.pem', aws.certificate);
  const caFile = file('clouds.pem', tls.authority);
  const config = {
    server: {
      nodeAttestors: {
        awsIid: {
          accounts: ['123456789012'],
          certificatesFolder: path.dirname(certificate),
          metadataEndpoint: aws.imds.origin,
          ec2Endpoint: aws.api.origin,
          iamEndpoint: aws.api.origin,
          caFile,
        },
        gcpIit: {
          projects: ['prod-1234'],
          keysEndpoint: gcp.api.origin,
          instance: {
            labels: ['env'],
            computeEndpoint: gcp.api.origin,
            serviceAccountFile: file('gcp.json', gcp.serviceAccountFile),
          },
          caFile,
        },
        azureMsi: {
          tenants: [{ id: TENANT, subscriptionId: SUBSCRIPTION }],
          authority: azure.api.origin,
          armEndpoint: azure.api.origin,
          metadataEndpoint: azure.metadata.origin,
          caFile,
        },
      },
    },
  };
  server = await launchServer(folder.path, { config: JSON.stringify(config) });
  closing.defer(async () => void (await server.stop()));
}, 60_000);
afterAll(async () => await closing.disposeAsync());

/** One instance each. */
const clouds = [
  {
    attestor: 'awsIid',
    settings: () => ({ metadataEndpoint: aws.imds.origin }),
    id: '/spire/agent/aws_iid/123456789012/eu-central-1/i-0123456789abcdef0',
    selectors: ['aws_iid:tag:env:prod', 'aws_iid:iamrole:arn:aws:iam::123456789012:role/web-role'],
  },
  {
    attestor: 'gcpIit',
    settings: () => ({ metadataEndpoint: gcp.metadata.origin }),
    id: '/spire/agent/gcp_iit/prod-1234/8087716956832600000',
    selectors: ['gcp_iit:label:env:prod', 'gcp_iit:zone:europe-west3-a'],
  },
  {
    attestor: 'azureMsi',
    settings: () => ({ metadataEndpoint: azure.metadata.origin }),
    id: `/spire/agent/azure_msi/${TENANT}/${PRINCIPAL}`,
    selectors: ['azure_msi:vm-name:Prod:web-1', 'azure_msi:virtual-network:Prod:net'],
  },
] as const;

describe.each(clouds)(
  'an instance that attests by $attestor',
  ({ attestor, settings, id, selectors }) => {
    const start = (name: string) => {
      const own = path.join(folder.path, attestor, name);
      mkdirSync(own, { recursive: true });
      const nodeAttestation = { [attestor]: settings() };
      const config = JSON.stringify({ agent: { bootstrap: { insecure: true }, nodeAttestation } });
      const agent = startAgent(own, { servers: [`127.0.0.1:${server.port}`], config });
      closing.defer(async () => void (await agent.stop()));
      return agent;
    };

    it('joins once, until it is evicted, and an entry for its selectors reaches it', async () => {
      const spiffeId = `spiffe://example.org${id}`;
      const first = start('first');
      expect(await first.id).toBe(spiffeId);
      const shown = await server.ask('agent', 'show', spiffeId);
      expect(JSON.stringify(shown)).toContain(selectors[0]);
      const node = `spiffe://example.org/nodes/${attestor}`;
      const chosen = selectors.flatMap((selector) => ['--selector', selector]);
      await server.ask('entry', 'create', '--spiffe-id', node, '--node', ...chosen);
      const ownUid = `unix:uid:${process.getuid?.() ?? 0}`;
      const workload = ['--spiffe-id', WEB, '--parent-id', node, '--selector', ownUid];
      await server.ask('entry', 'create', ...workload);
      await eventually('an identity', async () => (await first.fetch()).code === 0 || undefined);
      await expect(start('second').id).rejects.toThrow('ERR_AGENT_ATTESTED_BEFORE');
      await first.stop();
      await server.ask('agent', 'evict', spiffeId);
      const third = start('third');
      expect(await third.id).toBe(spiffeId);
      await eventually('an identity', async () => (await third.fetch()).code === 0 || undefined);
      await third.stop();
    }, 60_000);
  },
);
