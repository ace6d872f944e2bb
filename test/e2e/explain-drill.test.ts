import { expect, it, onTestFinished } from 'vitest';
import { SdsClient } from '../fakes/sds-client.ts';
import { eventually } from '../programs/eventually.ts';
import { askServer, runAdmin } from '../programs/fleet-process.ts';
import { launchServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { runTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder } from '../programs/run-folder.ts';

interface Explained {
  readonly verdict: string;
  readonly findings: readonly { readonly code: string; readonly nextStep: string }[];
}

const WEB = 'spiffe://example.org/web';
const uid = process.getuid?.() ?? 0;

it('explains what happens to a workload of a host, whose server is another process', async () => {
  const folder = createRunFolder();
  onTestFinished(() => folder.remove());
  await using place = await launchServerAndAgent(folder.path);
  const { adminSocket, socket, agentPath } = place;
  const parent = `spiffe://example.org${agentPath}`;

  async function explain(...args: readonly string[]): Promise<Explained | undefined> {
    const flags = ['--socket', socket, '--admin-socket', adminSocket, '--output', 'json'];
    const { code, stdout, stderr } = await runTrustplane('explain', ...args, ...flags);
    if (code !== 0) throw new Error(stderr);
    const answer: { readonly explanations: readonly Explained[] } = JSON.parse(stdout);
    return answer.explanations[0];
  }
  const own = ['--pid', String(process.pid)];
  const topOf = async (...args: readonly string[]): Promise<string | undefined> =>
    (await explain(...args))?.findings[0]?.code;

  const until = async (code: string, ...args: readonly string[]): Promise<void> =>
    void (await eventually(code, async () => (await topOf(...args)) === code));

  expect(await topOf(...own)).toBe('no-entry');
  const create = [
    'entry',
    'create',
    '--spiffe-id',
    WEB,
    '--parent-id',
    parent,
    '--entry-id',
    'web',
  ];
  await askServer(adminSocket, ...create, '--selector', `unix:uid:${uid + 1}`);
  await until('selector-differs', ...own);

  const next = (await explain(...own))?.findings[0]?.nextStep ?? '';
  expect(next).toBe(`trustplane entry update web --selector unix:uid:${uid}`);
  await runAdmin(adminSocket, ...next.split(' ').slice(1));
  await until('not-asked', ...own);

  const client = new SdsClient(socket);
  onTestFinished(() => client.close());
  const stream = client.sotw();
  const names = ['default', 'spiffe://example.org/db'];
  stream.send({ node: { id: 'sidecar-1' }, resource_names: names });
  const { nonce, version } = await stream.next();
  stream.send({ resource_names: names, response_nonce: nonce, version_info: version });
  expect((await explain('--spiffe-id', WEB, ...own))?.verdict).toBe('served');
  expect(await topOf('--envoy', 'sidecar-1')).toBe('name-nobody');

  await runAdmin(adminSocket, 'revoke', '--spiffe-id', WEB, '--reason', 'a drill');
  await until('id-suspended', '--spiffe-id', WEB, ...own);

  const lost = ['entry', 'create', '--spiffe-id', 'spiffe://example.org/db'];
  await askServer(
    adminSocket,
    ...lost,
    '--parent-id',
    'spiffe://example.org/none',
    '--selector',
    'unix:uid:7',
  );
  const there = [
    '--spiffe-id',
    'spiffe://example.org/db',
    '--agent',
    parent,
    '--selector',
    'unix:uid:7',
  ];
  expect(await topOf(...there)).toBe('parent-missing');
  expect(await topOf('--spiffe-id', 'spiffe://example.org/db', ...own)).toBe('no-entry-for-id');

  await place.server.kill();
  await until('server-unreachable', '--spiffe-id', 'spiffe://example.org/db', ...own);
});
