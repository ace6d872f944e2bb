import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { SdsClient } from '../fakes/sds-client.ts';
import { serveCollector } from '../programs/collector.ts';
import { eventually } from '../programs/eventually.ts';
import { askServer, runAdmin } from '../programs/fleet-process.ts';
import { launchServerAndAgent, type ServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

const ID = 'spiffe://example.org/traced';

let folder: RunFolder;
let fleet: ServerAndAgent;
let collector: Awaited<ReturnType<typeof serveCollector>>;

beforeAll(async () => {
  folder = createRunFolder();
  collector = await serveCollector();
  const config = path.join(folder.path, 'traces.yaml');
  await writeFile(config, `log: {traces: {endpoint: '${collector.endpoint}'}}\n`);
  fleet = await launchServerAndAgent(folder.path, { both: ['--config', config] });
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await collector.close();
  await folder.remove();
});

it('follows an entry from the call that makes it to the client that takes its certificate', async () => {
  const client = new SdsClient(fleet.socket);
  const stream = client.sotw();
  const subscribe = { node: { id: 'traced-envoy' }, resource_names: [ID] };
  stream.send({
    ...subscribe,
    type_url: 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
  });
  const uid = String(process.getuid?.());
  const entry = ['--spiffe-id', ID, '--selector', `unix:uid:${uid}`];
  const parent = `spiffe://example.org${fleet.agentPath}`;
  await askServer(fleet.adminSocket, 'entry', 'create', ...entry, '--parent-id', parent);
  const { version, nonce, typeUrl } = await stream.next();
  const answer = { resource_names: [ID], version_info: version, response_nonce: nonce };
  stream.send({ ...answer, type_url: typeUrl });
  const names = ['entry.create', 'sync.update', 'svid.issue', 'xds.push'];
  const spans = await eventually('the whole trace', async () => {
    const [root] = collector.spans.filter(({ name }) => name === 'entry.create');
    const trace = collector.spans.filter(({ traceId }) => traceId === root?.traceId);
    const found = names.map((each) => trace.find(({ name }) => name === each));
    return found.every((span) => span !== undefined) ? found : undefined;
  });
  for (const [at, span] of spans.entries()) {
    expect(span.parentSpanId ?? '').toBe(spans[at - 1]?.spanId ?? '');
    expect(span.status.message).toBeUndefined();
  }
  expect(JSON.stringify(spans.at(-1)?.attributes)).toContain('traced-envoy');
  client.close();
});

it('follows what an apply adds, changes and removes to the agent', async () => {
  const documents = path.join(folder.path, 'documents');
  await mkdir(documents);
  const applied = async (...entries: readonly object[]): Promise<void> => {
    const texts = entries.map((entry) => JSON.stringify({ ...common, ...entry }));
    await writeFile(path.join(documents, 'entries.yaml'), texts.join('\n---\n'));
    await runAdmin(fleet.adminSocket, 'apply', '-f', documents, '--prune');
  };
  const common = {
    apiVersion: 'trustplane/v1',
    kind: 'RegistrationEntry',
    parentId: `spiffe://example.org${fleet.agentPath}`,
    selectors: ['unix:uid:4711'],
  };
  const spiffeId = 'spiffe://example.org/applied';
  const before = collector.spans.length;
  const kept = { spiffeId: `${spiffeId}/kept` };
  await applied(kept, { spiffeId });
  await applied(kept, { spiffeId, hint: 'changed' });
  await applied(kept);
  for (const name of ['entry.create', 'entry.update', 'entry.delete']) {
    const child = await eventually(`sync.update of ${name}`, () => {
      const spans = collector.spans.slice(before);
      const roots = spans.filter((span) => span.name === name);
      return spans.find(
        (span) =>
          span.name === 'sync.update' &&
          roots.some(
            ({ spanId, traceId }) => spanId === span.parentSpanId && traceId === span.traceId,
          ),
      );
    });
    expect(child.status.message).toBeUndefined();
  }
});
