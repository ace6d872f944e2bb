import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { configSchema } from '../../src/app/config-schema.ts';
import { checkDocument, parseStrictYaml } from '../../src/ops/index.ts';

const folder = path.join(import.meta.dirname, '..', '..', 'examples', 'kubernetes');

async function objectsIn(file: string) {
  const documents = parseAllDocuments(await readFile(path.join(folder, file), 'utf8'));
  return documents.map((document) => {
    expect(document.errors).toEqual([]);
    return document.toJS();
  });
}

const serverConfig = async () =>
  checkDocument(
    parseStrictYaml(await readFile(path.join(folder, 'server.yaml'), 'utf8'), 'server.yaml'),
    configSchema,
  );

it('gives a server what it asks of the API server, and nothing else', async () => {
  const [namespace, account, role, binding] = await objectsIn('server-rbac.yaml');
  expect(role.rules).toEqual([
    { apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] },
    { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get'] },
  ]);
  const { name } = account.metadata;
  expect(account.metadata.namespace).toBe(namespace.metadata.name);
  expect(binding).toMatchObject({
    kind: 'ClusterRoleBinding',
    roleRef: { kind: role.kind, name: role.metadata.name, apiGroup: role.apiVersion.split('/')[0] },
    subjects: [{ kind: account.kind, name, namespace: account.metadata.namespace }],
  });
});

it('has agents show the token that the server takes', async () => {
  const [account, role, binding, configMap, daemonSet] = await objectsIn('agent.yaml');
  const { spec, metadata } = daemonSet.spec.template;
  const [container] = spec.containers;
  const config = checkDocument(
    parseStrictYaml(configMap.data['agent.yaml'], 'agent.yaml', { NODE_NAME: 'node-1' }),
    configSchema,
  );
  const [cluster] = (await serverConfig()).server?.nodeAttestors?.k8sPsat?.clusters ?? [];
  const { namespace, name } = account.metadata;
  expect(config.agent?.nodeAttestation?.k8sPsat?.cluster).toBe(cluster?.name);
  expect(cluster?.serviceAccountAllowList).toEqual([`${namespace}:${name}`]);
  expect(spec.serviceAccountName).toBe(name);
  expect(role.rules).toEqual([{ apiGroups: [''], resources: ['nodes/proxy'], verbs: ['get'] }]);
  expect(binding.roleRef.name).toBe(role.metadata.name);
  expect(binding.subjects).toEqual([{ kind: 'ServiceAccount', name, namespace }]);
  expect(config.agent?.workloadAttestors?.k8s?.nodeName).toBe('node-1');
  expect(container.env[0].name).toBe('NODE_NAME');
  expect(daemonSet.spec.selector.matchLabels).toEqual(metadata.labels);
  const volumeOf = (mountPath: string) => {
    const mount = container.volumeMounts.find((each: Mount) => each.mountPath === mountPath);
    return spec.volumes.find((volume: { readonly name: string }) => volume.name === mount?.name);
  };
  const { sources } = volumeOf('/var/run/secrets/tokens').projected;
  expect(sources).toEqual([
    {
      serviceAccountToken: {
        path: 'spire-agent',
        audience: 'spire-server',
        expirationSeconds: 600,
      },
    },
  ]);
  expect(volumeOf('/run/trustplane').hostPath.path).toBe('/run/trustplane');
  const bundle = path.dirname(config.agent?.bootstrap?.bundleFile ?? '');
  expect(volumeOf(bundle).configMap.name).toBe('trustplane-bundle');
  expect(volumeOf('/etc/trustplane/agent.yaml').configMap.name).toBe(configMap.metadata.name);
  expect(container.args.at(-1)).toBe('/etc/trustplane/agent.yaml');
});

interface Mount {
  readonly name: string;
  readonly mountPath: string;
}
