import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { eventually } from '../programs/eventually.ts';
import { freePorts } from '../programs/free-ports.ts';
import { launchTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';
import { launchSidecars } from '../programs/sidecar-pair.ts';
import { requestUnix } from '../programs/unix-http.ts';

const clientId = 'spiffe://example.org/client';
const serverId = 'spiffe://example.org/server';
const authzId = 'spiffe://example.org/authz';
const PIPE = /address: \{ pipe: \{ path: (\S*authz\.sock) \} \} # CHANGE/u;

type Way = 'socket' | 'tcp' | 'tls';

/** The server's Envoy asks over TCP; with TLS it shows its own SVID and asks for that of authz. */
function overTcp(port: number, way: Way): (bootstrap: string) => string {
  return (bootstrap) => {
    if (way === 'socket') return bootstrap;
    const address = `address: { socket_address: { address: 127.0.0.1, port_value: ${port} } }`;
    const text = bootstrap.replace(PIPE, address);
    if (text === bootstrap) throw new Error('the bootstrap asks on no socket');
    if (way === 'tcp') return text;
    return text.replace(
      /^( *)- name: trustplane_authz$/mu,
      `$&
$1  transport_socket:
$1    name: envoy.transport_sockets.tls
$1    typed_config:
$1      "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
$1      common_tls_context:
$1        alpn_protocols: [h2]
$1        tls_certificate_sds_secret_configs:
$1          - { name: "${serverId}", sds_config: *agent }
$1        combined_validation_context:
$1          default_validation_context:
$1            match_typed_subject_alt_names:
$1              - { san_type: URI, matcher: { exact: "${authzId}" } }
$1          validation_context_sds_secret_config: { name: ROOTCA, sds_config: *agent }`,
    );
  };
}

async function launch(transport: string, way: Way, clients: readonly string[]) {
  const stack = new AsyncDisposableStack();
  onTestFinished(async () => await stack.disposeAsync());
  const folder = createRunFolder();
  stack.defer(async () => await folder.remove());
  const policies = path.join(folder.path, 'policies');
  const authzSocket = path.join(folder.path, 'authz.sock');
  mkdirSync(policies);
  const policy = {
    apiVersion: 'trustplane/v1',
    kind: 'Policy',
    metadata: { name: 'p' },
    service: serverId,
    rules: [{ id: 'a', from: [clientId], allow: ['GET /a'], map: { 'x-user': 'source.id' } }],
  };
  writeFileSync(path.join(policies, 'p.yaml'), JSON.stringify(policy));
  const [port = 0] = await freePorts(1);
  const tls = { spiffeId: authzId, clients };
  const listen = { address: `127.0.0.1:${port}`, ...(way === 'tls' && { tls }) };
  const where = way === 'socket' ? { socket: authzSocket } : { listen };
  const config = path.join(folder.path, 'trustplane.yaml');
  writeFileSync(config, JSON.stringify({ authz: { ...where, transport, policies } }));
  const trustplane = await launchTrustplane(folder.path, '--config', config);
  stack.defer(async () => void (await trustplane.stop()));
  for (const id of [clientId, serverId, authzId]) await trustplane.createEntry(id);
  const pair = await launchSidecars({
    folder: folder.path,
    agentSocket: trustplane.socket,
    clientId,
    serverId,
    protocol: 'sotw',
    authzSocket,
    editServer: overTcp(port, way),
  });
  stack.defer(async () => await pair.stop());
  await Promise.all([pair.client.waitReady(), pair.server.waitReady()]);
  return async (target: string) =>
    await requestUnix({ socketPath: pair.outboundSocket, method: 'GET', path: target });
}

it.each([
  ['quick', 'socket'],
  ['quick', 'tcp'],
  ['quick', 'tls'],
  ['grpc-js', 'socket'],
  ['grpc-js', 'tcp'],
  ['grpc-js', 'tls'],
] as const)('an Envoy is answered by %s over %s', async (transport, way) => {
  const ask = await launch(transport, way, [serverId]);
  const allowed = await eventually('an answer', async () => {
    const answer = await ask('/a');
    return answer.status === 200 ? answer : undefined;
  });
  expect(JSON.parse(allowed.body)).toMatchObject({ 'x-user': clientId });
  expect((await ask('/b')).status).toBe(403);
});

it('an Envoy that is not among the clients gets no answer, and lets nobody in', async () => {
  const ask = await launch('quick', 'tls', ['spiffe://example.org/ingress/*']);
  for (let time = 0; time < 5; time++) expect((await ask('/a')).status).toBe(503);
});
