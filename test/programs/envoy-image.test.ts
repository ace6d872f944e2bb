import { once } from 'node:events';
import { createServer } from 'node:http';
import path from 'node:path';
import { expect, it, onTestFinished, vi } from 'vitest';
import { ownerLabel, ownerOf } from './docker/owner.ts';
import { findEnvoyImage } from './envoy-image.ts';
import { createRunFolder } from './run-folder.ts';

/** What a container engine answers, by method and path without the query. */
type Answers = Readonly<Record<string, readonly [status: number, body: unknown]>>;

/** Puts an engine that answers like this in the place of the machine's; returns what it is asked. */
async function serveEngine(answers: Answers): Promise<readonly string[]> {
  const folder = createRunFolder();
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const question = `${request.method} ${request.url?.replace(/\?.*/, '')}`;
    asked.push(question);
    const [status, body] = answers[question] ?? [404, { message: `no such ${question}` }];
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  });
  const socket = path.join(folder.path, 'docker.sock');
  server.listen(socket);
  await once(server, 'listening');
  vi.stubEnv('DOCKER_HOST', `unix://${socket}`);
  onTestFinished(async () => {
    vi.unstubAllEnvs();
    server.close();
    await folder.remove();
  });
  return asked;
}

const running: Answers = {
  'GET /info': [200, { OSType: 'linux' }],
  'GET /containers/json': [200, []],
};
const here: Answers = { 'GET /images/envoy:v1/json': [200, { Id: 'sha256:1' }] };
const nowhere: Answers = { 'GET /images/envoy:v1/json': [404, { message: 'No such image: x' }] };

it('takes an image that the engine has, and asks for nothing else', async () => {
  const asked = await serveEngine({ ...running, ...here });
  const found = await findEnvoyImage(['present:envoy:v1', 'pull:envoy:v2']);
  expect(found).toEqual({ usable: true, image: 'envoy:v1' });
  expect(asked).not.toContain('POST /images/create');
});

it('says why when the engine has no network to pull over', async () => {
  const message = 'lookup registry.example: no such host';
  await serveEngine({ ...running, ...nowhere, 'POST /images/create': [500, { message }] });
  const found = await findEnvoyImage(['present:envoy:v1', 'pull:envoy:v1']);
  expect(found).toMatchObject({
    usable: false,
    reason: expect.stringMatching(/^envoy:v1: .*no such host/),
  });
});

it('does not believe a pull that ends without an image', async () => {
  await serveEngine({ ...running, ...nowhere, 'POST /images/create': [200, { error: 'denied' }] });
  const found = await findEnvoyImage(['pull:envoy:v1']);
  expect(found).toEqual({ usable: false, reason: 'envoy:v1: the engine could not pull it' });
});

it('goes on to the next way when a binary cannot be put into an image', async () => {
  await serveEngine({ ...running, ...here });
  const found = await findEnvoyImage([`build:${import.meta.filename}`, 'pull:envoy:v1']);
  expect(found).toEqual({ usable: true, image: 'envoy:v1' });
});

it('removes the containers of dead owners first, and no others', async () => {
  const [place] = ownerOf(process.pid).split(' ');
  const containers = [
    { Id: 'alive', State: 'running', Labels: { [ownerLabel]: ownerOf(process.pid) } },
    { Id: 'dead', State: 'running', Labels: { [ownerLabel]: `${place} 4194305 1` } },
  ];
  const asked = await serveEngine({
    ...running,
    ...here,
    'GET /containers/json': [200, containers],
    'DELETE /containers/dead': [204, undefined],
  });
  expect(await findEnvoyImage(['present:envoy:v1'])).toMatchObject({ usable: true });
  const removals = asked.filter((question) => question.startsWith('DELETE'));
  expect(removals).toEqual(['DELETE /containers/dead']);
});
