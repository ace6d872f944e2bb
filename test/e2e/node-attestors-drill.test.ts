import { mkdirSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type KubeCluster, startKubeCluster } from '../fakes/kube-cluster.ts';
import { type LaunchedAgent, startAgent } from '../programs/launch-agent.ts';
import { type LaunchedServer, launchServer } from '../programs/launch-server.ts';
import { createRunFolder } from '../programs/run-folder.ts';

const fixtures = path.join(import.meta.dirname, '..', 'fixtures', 'ssh');
const host = hostname().toLowerCase();
const folder = createRunFolder();
const closing = new AsyncDisposableStack();
let cluster: KubeCluster;
let server: LaunchedServer;
let tokenFile: string;

beforeAll(async () => {
  closing.defer(() => folder.remove());
  cluster = closing.use(await startKubeCluster(Math.floor(Date.now() / 1_000)));
  const file = (name: string, text: string): string => {
    const place = path.join(folder.path, name);
    writeFileSync(place, text);
    return place;
  };
  tokenFile = file('token', cluster.token());
  const kubernetes = {
    name: 'prod',
    serviceAccountAllowList: ['trustplane:trustplane-agent'],
    kubeConfigFile: file('kubeconfig', cluster.kubeconfig()),
    allowedNodeLabelKeys: ['topology.kubernetes.io/zone'],
  };
  const config = {
    server: {
      nodeAttestors: {
        httpChallenge: {
          allowedDnsPatterns: [host],
          allowedAddresses: ['0.0.0.0/0', '::/0'],
        },
        k8sPsat: { clusters: [kubernetes] },
        sshpop: { authoritiesFile: path.join(fixtures, 'ca.pub'), canonicalDomain: 'prod.example' },
      },
      rateLimits: { attestation: 0 },
    },
  };
  server = await launchServer(folder.path, { config: JSON.stringify(config) });
  closing.defer(async () => void (await server.stop()));
}, 60_000);
afterAll(async () => await closing.disposeAsync());

function start(name: string, nodeAttestation: object): LaunchedAgent {
  const own = path.join(folder.path, name);
  mkdirSync(own, { recursive: true });
  const config = JSON.stringify({ agent: { bootstrap: { insecure: true }, nodeAttestation } });
  const agent = startAgent(own, { servers: [`127.0.0.1:${server.port}`], config });
  closing.defer(async () => void (await agent.stop()));
  return agent;
}

const shown = async (id: string) => JSON.stringify(await server.ask('agent', 'show', id));

describe('a host that answers at its DNS name', () => {
  it('joins once, until it is evicted', async () => {
    const settings = { httpChallenge: { hostname: host } };
    const first = start('http-first', settings);
    const id = `spiffe://example.org/spire/agent/http_challenge/${host}`;
    expect(await first.id).toBe(id);
    expect(await shown(id)).toContain(`http_challenge:hostname:${host}`);
    await expect(start('http-second', settings).id).rejects.toThrow('ERR_AGENT_ATTESTED_BEFORE');
    // It would come back by itself.
    await first.stop();
    await server.ask('agent', 'evict', id);
    expect(await start('http-third', settings).id).toBe(id);
  }, 30_000);

  it('does not join by another name', async () => {
    start('http-other', { httpChallenge: { hostname: 'other.example' } });
    expect(await server.line('ERR_NODE_ATTEST_HOST')).toContain('matches no allowed pattern');
  }, 30_000);
});

describe('a host with an SSH host certificate', () => {
  it('joins, and again with another state, as the same agent', async () => {
    const settings = {
      sshpop: {
        hostKeyFile: path.join(fixtures, 'host_ecdsa'),
        hostCertificateFile: path.join(fixtures, 'host_ecdsa-cert.pub'),
      },
    };
    const id = await start('ssh-first', settings).id;
    expect(id).toMatch(/^spiffe:\/\/example\.org\/spire\/agent\/sshpop\/[A-Za-z0-9_-]{43}$/u);
    expect(await start('ssh-second', settings).id).toBe(id);
  }, 30_000);

  it('does not join with the certificate of another domain', async () => {
    start('ssh-other', {
      sshpop: {
        hostKeyFile: path.join(fixtures, 'host_ed25519'),
        hostCertificateFile: path.join(fixtures, 'host_by_rsa-cert.pub'),
      },
    });
    expect(await server.line('ERR_NODE_ATTEST_CERTIFICATE')).toContain('authority');
  }, 30_000);
});

describe('an agent in a pod', () => {
  it('joins by its token, as the API server tells of its node, and again', async () => {
    const settings = { k8sPsat: { cluster: 'prod', tokenFile } };
    const id = `spiffe://example.org/spire/agent/k8s_psat/prod/${cluster.node.uid}`;
    expect(await start('k8s-first', settings).id).toBe(id);
    expect(await shown(id)).toContain('agent_node_label:topology.kubernetes.io/zone:eu-1');
    expect(await start('k8s-second', settings).id).toBe(id);
  }, 30_000);

  it('does not join where the API server is silent, and then does', async () => {
    cluster.server.break(403, '/nodes/');
    const agent = start('k8s-later', { k8sPsat: { cluster: 'prod', tokenFile } });
    expect(await server.line('ERR_NODE_ATTEST_API')).toContain('see to its RBAC');
    cluster.server.break(undefined);
    expect(await agent.id).toContain(cluster.node.uid);
  }, 30_000);
});
