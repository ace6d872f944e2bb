import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../../test/fakes/fake-clock.ts';
import { ecKeys, makeCertificate, rsaKeys } from '../../../test/fakes/test-certificates.ts';
import { testTrustDomain } from '../../../test/fakes/test-entries.ts';
import { checkDocument, parseStrictYaml, silentLog } from '../../ops/index.ts';
import { encodePem } from '../../spiffe/index.ts';
import { buildConfig } from '../config.ts';
import { configSchema } from '../config-schema.ts';
import { defaultPaths } from '../default-paths.ts';
import { openAwsIidAttestor } from './aws-iid.ts';
import { openAzureMsiAttestor } from './azure-msi.ts';
import { openGcpIitAttestor } from './gcp-iit.ts';

const context = { trustDomain: testTrustDomain, clock: new FakeClock(), log: silentLog };
const paths = defaultPaths(1000, { HOME: '/home/a', XDG_RUNTIME_DIR: '/run/user/1000' });
const read = (text: string) =>
  buildConfig({}, checkDocument(parseStrictYaml(text, 'c.yaml'), configSchema), paths);
const tenant = 'id: 11111111-1111-4111-8111-111111111111';
const app = 'appId: 11111111-1111-4111-8111-111111111111';

function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'tp-clouds-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, name), text);
  return folder;
}

describe('settings of attestors of clouds', () => {
  it.each([
    ['awsIid: { certificatesFolder: /x }', 'either accounts'],
    ["awsIid: { certificatesFolder: /x, accounts: ['123456789012'], anyAccount: true }", 'either'],
    ["awsIid: { certificatesFolder: /x, accounts: ['12'] }", 'accounts'],
    ['awsIid: { certificatesFolder: /x, anyAccount: true, ec2Endpoint: "http://x" }', 'https'],
    ['awsIid: { certificatesFolder: /x, anyAccount: true, ec2Endpoint: "https://x/y" }', 'https'],
    ['gcpIit: {}', 'projects'],
    ['gcpIit: { projects: [] }', 'projects'],
    ['azureMsi: { tenants: [] }', 'tenants'],
    [`azureMsi: { tenants: [{ ${tenant} }, { ${tenant} }] }`, 'twice'],
    [`azureMsi: { tenants: [{ ${tenant}, ${app} }] }`, 'stand together'],
    [`azureMsi: { tenants: [{ ${tenant}, ${app}, appSecretFile: /x }] }`, 'subscriptionId'],
  ])('are refused as %s', (text, message) => {
    const file = `server: { nodeAttestors: { ${text} } }\n`;
    expect(() => read(file)).toThrow(message);
  });

  it.each(['awsIid', 'gcpIit', 'azureMsi'])('of an agent need nothing but %s', (kind) => {
    const { nodeAttestation } = read(`agent: { nodeAttestation: { ${kind}: {} } }\n`);
    expect(nodeAttestation).toMatchObject({ kind });
    expect(() => read(`agent: { nodeAttestation: { ${kind}: {}, joinToken: abc } }\n`)).toThrow(
      'one way',
    );
  });
});

describe('attestors of clouds', () => {
  const pemOf = async (keys: Parameters<typeof makeCertificate>[0]): Promise<string> =>
    encodePem('CERTIFICATE', (await makeCertificate(keys)).der);
  const open = async (certificatesFolder: string) =>
    await openAwsIidAttestor({ certificatesFolder, anyAccount: true }, context);

  it('open with what AWS publishes for each region', async () => {
    const pem = await pemOf({ keys: await rsaKeys(2048) });
    const folder = folderWith({ 'eu-central-1.pem': pem + pem, 'README.md': 'x' });
    await expect(open(folder)).resolves.toMatchObject({ name: 'aws_iid' });
  });

  it('do not open without certificates, or with others than AWS signs with', async () => {
    const refused = { code: 'ERR_NODE_ATTEST_AUTHORITIES' };
    await expect(open('/does-not-exist')).rejects.toMatchObject(refused);
    await expect(open(folderWith({}))).rejects.toMatchObject(refused);
    await expect(open(folderWith({ 'eu-central-1.pem': '' }))).rejects.toMatchObject(refused);
    const [short, ec] = await Promise.all([
      pemOf({ keys: await rsaKeys(1024) }),
      pemOf({ keys: await ecKeys() }),
    ]);
    await expect(open(folderWith({ 'eu-central-1.pem': short }))).rejects.toMatchObject(refused);
    await expect(open(folderWith({ 'eu-central-1.pem': ec }))).rejects.toMatchObject(refused);
  });

  it('do not open with a template of others, or files that are not there', async () => {
    const template = { agentPathTemplate: '/x509pop/{{ .InstanceID }}' };
    const gcp = { projects: ['prod-1'] };
    await expect(openGcpIitAttestor({ ...gcp, ...template }, context)).rejects.toMatchObject({
      code: 'ERR_NODE_ATTEST_TEMPLATE',
    });
    const missing = { code: 'ERR_NODE_ATTEST_AUTHORITIES' };
    const caFile = '/does-not-exist.pem';
    await expect(openGcpIitAttestor({ ...gcp, caFile }, context)).rejects.toMatchObject(missing);
    const instance = { serviceAccountFile: '/does-not-exist.json' };
    await expect(openGcpIitAttestor({ ...gcp, instance }, context)).rejects.toMatchObject(missing);
    const tenants = [{ id: '11111111-1111-4111-8111-111111111111' }];
    await expect(openAzureMsiAttestor({ tenants, caFile }, context)).rejects.toMatchObject(missing);
    await expect(openAzureMsiAttestor({ tenants }, context)).resolves.toMatchObject({
      name: 'azure_msi',
    });
  });
});
