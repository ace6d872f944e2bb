import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import path from 'node:path';
import { encodePem } from '../../src/spiffe/index.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { makeAuthority, makeCertificate, type TestCertificate } from './test-certificates.ts';

const TOKEN = 'eyJhbGciOi.the.token';

/** A kubelet with TLS that asks for a bearer token or a client certificate, as `--authentication-token-webhook` has it. */
export interface FakeKubelet extends AsyncDisposable {
  readonly port: number;
  readonly caFile: string;
  readonly tokenFile: string;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  /** Of the list, as the API has them. */
  pods: object[];
  /** How often it was asked. */
  asked: number;
  /** Who may get the list; another token is known and refused. */
  isAllowed: boolean;
  /** Answers in place of the kubelet, if it returns true. */
  intercept: (response: ServerResponse) => boolean;
  requests(count: number): Promise<void>;
}

const now = { notBefore: Date.now() - 3_600_000, notAfter: Date.now() + 86_400_000 };

export async function openKubelet(): Promise<FakeKubelet> {
  const folder = createRunFolder();
  const authority = await makeAuthority({ subject: 'CN=kubelet-ca', ...now });
  const server = await makeCertificate({ issuer: authority, dns: ['node-1'], uris: [], ...now });
  const client = await makeCertificate({ issuer: authority, dns: ['agent'], uris: [], ...now });
  const files = {
    caFile: write(folder.path, 'ca.crt', pemOf(authority)),
    tokenFile: write(folder.path, 'token', `${TOKEN}\n`),
    certificateFile: write(folder.path, 'client.crt', pemOf(client)),
    privateKeyFile: write(folder.path, 'client.key', await keyOf(client)),
  };
  const waiting: (() => void)[] = [];
  const https = createServer(
    {
      cert: pemOf(server),
      key: await keyOf(server),
      ca: pemOf(authority),
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      kubelet.asked += 1;
      for (const each of waiting.splice(0)) each();
      if (!kubelet.intercept(response)) answer(kubelet, request, response);
    },
  );
  https.on('tlsClientError', () => {});
  await new Promise<void>((resolve) => https.listen(0, '127.0.0.1', resolve));
  const address = https.address();
  const kubelet: FakeKubelet = {
    ...files,
    port: typeof address === 'object' && address !== null ? address.port : 0,
    pods: [],
    asked: 0,
    isAllowed: true,
    intercept: () => false,
    async requests(count) {
      while (kubelet.asked < count) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      https.closeAllConnections();
      await new Promise((resolve) => https.close(resolve));
      await folder.remove();
    },
  };
  return kubelet;
}

function answer(kubelet: FakeKubelet, request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  const isKnown =
    request.headers.authorization === `Bearer ${TOKEN}` ||
    ('authorized' in socket && socket.authorized === true);
  if (!isKnown) return refuse(response, 401, 'Unauthorized');
  if (!kubelet.isAllowed) return refuse(response, 403, 'Forbidden (user=agent, verb=get)');
  if (request.url !== '/pods') return refuse(response, 404, '404 page not found');
  const list = { kind: 'PodList', apiVersion: 'v1', metadata: {}, items: kubelet.pods };
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(list));
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(text);
}

function write(folder: string, name: string, text: string): string {
  const file = path.join(folder, name);
  writeFileSync(file, text);
  return file;
}

const pemOf = ({ der }: TestCertificate): string => encodePem('CERTIFICATE', der);

async function keyOf({ keys }: TestCertificate): Promise<string> {
  const der = await crypto.subtle.exportKey('pkcs8', keys.privateKey);
  return encodePem('PRIVATE KEY', new Uint8Array(der));
}

/** A pod as a kubelet lists it, with more than is read. */
export function podOf(options: {
  readonly uid: string;
  readonly containers?: readonly string[];
  readonly initContainers?: readonly string[];
  readonly labels?: Readonly<Record<string, string>>;
}): object {
  const statuses = (ids: readonly string[], names: string): object[] =>
    ids.map((id, index) => ({
      name: `${names}-${index}`,
      state: { running: { startedAt: '2026-01-01T00:00:00Z' } },
      ready: true,
      restartCount: 0,
      image: `registry.example/${names}:1`,
      imageID: `registry.example/${names}@sha256:${'5'.repeat(64)}`,
      ...(id !== '' && { containerID: `containerd://${id}` }),
    }));
  return {
    metadata: {
      name: 'web-5d9c7b',
      generateName: 'web-',
      namespace: 'shop',
      uid: options.uid,
      creationTimestamp: '2026-01-01T00:00:00Z',
      labels: options.labels ?? { app: 'web' },
      annotations: { 'kubernetes.io/config.source': 'api' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: 'web-5d9c',
          uid: 'owner-uid',
          controller: true,
        },
      ],
    },
    spec: { nodeName: 'node-1', serviceAccountName: 'web', containers: [{ name: 'main' }] },
    status: {
      phase: 'Running',
      containerStatuses: statuses(options.containers ?? [], 'main'),
      initContainerStatuses: statuses(options.initContainers ?? [], 'init'),
    },
  };
}
