import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePem } from '../../src/spiffe/index.ts';
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
import { makeCertificate, rsaKeys } from '../fakes/test-certificates.ts';
import { eventually } from '../programs/eventually.ts';
import { startAgent } from '../programs/launch-agent.ts';
import { type LaunchedServer, launchServer, writeServerConfig } from '../programs/launch-server.ts';
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

/** Starts an agent that attests so, in a folder of its own. */
function startNode(name: string, nodeAttestation: object, { port }: { readonly port: number }) {
  const own = path.join(folder.path, name);
  mkdirSync(own, { recursive: true });
  const config = JSON.stringify({ agent: { bootstrap: { insecure: true }, nodeAttestation } });
  const agent = startAgent(own, { servers: [`127.0.0.1:${port}`], config });
  closing.defer(async () => void (await agent.stop()));
  return agent;
}

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
    const start = (name: string) =>
      startNode(`${attestor}/${name}`, { [attestor]: settings() }, server);

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

it('a running server takes up other attestors, and the files of those it has, at SIGHUP', async () => {
  const own = path.join(folder.path, 'reloaded');
  const certificatesFolder = path.join(own, 'aws');
  mkdirSync(certificatesFolder, { recursive: true });
  const other = await makeCertificate({ keys: await rsaKeys(2_048), isCa: true });
  writeFileSync(
    path.join(certificatesFolder, 'us-east-1.pem'),
    encodePem('CERTIFICATE', other.der),
  );
  const awsIid = {
    anyAccount: true,
    certificatesFolder,
    metadataEndpoint: aws.imds.origin,
    ec2Endpoint: aws.api.origin,
    iamEndpoint: aws.api.origin,
    caFile: path.join(folder.path, 'clouds.pem'),
  };
  const awsNode = () => ({ awsIid: clouds[0].settings() });
  const configOf = (nodeAttestors: object): string =>
    JSON.stringify({ server: { nodeAttestors, rateLimits: { attestation: 0 } } });
  const running = await launchServer(own, { config: configOf({ awsIid }) });
  closing.defer(async () => void (await running.stop()));
  let reloads = 0;
  const reload = async (): Promise<void> => {
    reloads += 1;
    running.kill('SIGHUP');
    const done = 'the configuration was reloaded';
    await eventually('a reload', () => countOf(running.log, done) === reloads || undefined);
  };
  const join = async (name: string, attestation: object): Promise<string> =>
    await startNode(`reloaded/${name}`, attestation, running).id;
  await expect(join('first', awsNode())).rejects.toThrow('ERR_NODE_ATTEST_REGION');
  writeFileSync(path.join(certificatesFolder, 'eu-central-1.pem'), aws.certificate);
  await reload();
  expect(await join('second', awsNode())).toBe(`spiffe://example.org${clouds[0].id}`);

  const ssh = path.join(import.meta.dirname, '..', 'fixtures', 'ssh');
  const sshpop = {
    hostKeyFile: path.join(ssh, 'host_ecdsa'),
    hostCertificateFile: path.join(ssh, 'host_ecdsa-cert.pub'),
  };
  await expect(join('third', { sshpop })).rejects.toThrow('sshpop');
  writeServerConfig(own, configOf({ sshpop: { authoritiesFile: path.join(ssh, 'ca.pub') } }));
  await reload();
  expect(await join('fourth', { sshpop })).toContain('/spire/agent/sshpop/');
  // Nobody joins by what is no longer there.
  await expect(join('fifth', awsNode())).rejects.toThrow('aws_iid');
}, 60_000);

function countOf(log: readonly string[], text: string): number {
  return log.filter((line) => line.includes(text)).length;
}
