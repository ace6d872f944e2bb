import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePem, encodePem } from '../../src/spiffe/index.ts';
import { SdsClient, type SdsTestStream } from '../fakes/sds-client.ts';
import { makeAuthority, type TestCertificate } from '../fakes/test-certificates.ts';
import { askServer, runAdmin } from '../programs/fleet-process.ts';
import { launchServerAndAgent } from '../programs/launch-server-and-agent.ts';
import { launchTrustplane } from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

/** What runs, and below which agent its entries are. */
interface Place {
  readonly socket: string;
  readonly adminSocket: string;
  readonly agentPath: string;
  stop(): Promise<unknown>;
}

async function launchUp(folder: string): Promise<Place> {
  const trustplane = await launchTrustplane(folder);
  const { socket, adminSocket } = trustplane;
  const agentPath = '/spire/agent/local/up';
  return { socket, adminSocket, agentPath, stop: async () => await trustplane.stop() };
}

async function launchApart(folder: string): Promise<Place> {
  const fleet = await launchServerAndAgent(folder);
  const { socket, adminSocket, agentPath } = fleet;
  const stop = async (): Promise<void> => await fleet[Symbol.asyncDispose]();
  return { socket, adminSocket, agentPath, stop };
}

const authorityOf = (name: string): Promise<TestCertificate> =>
  makeAuthority({ uris: [`spiffe://${name}`] });

/** As the client shows the authorities of one trust domain. */
const shown = (name: string, ...authorities: readonly { readonly der: Uint8Array }[]): string =>
  `${name}: ${authorities.map(({ der }) => Buffer.from(der).toString()).join(' + ')}`;

describe.each([
  ['one process', launchUp],
  ['a server and an agent', launchApart],
] as const)('the validation context ALL, with %s', (_, launch) => {
  let folder: RunFolder;
  let place: Place;
  let client: SdsClient;
  /** The own trust domain's part of every context. */
  let own: string;

  beforeAll(async () => {
    folder = createRunFolder();
    place = await launch(folder.path);
    client = new SdsClient(place.socket);
    const [der = new Uint8Array()] = decodePem(
      'CERTIFICATE',
      await runAdmin(place.adminSocket, 'bundle', 'show'),
    );
    own = shown('example.org', { der });
  });

  afterAll(async () => {
    client.close();
    await place.stop();
    await folder.remove();
  });

  const run = (...args: readonly string[]) => askServer(place.adminSocket, ...args);

  /** Makes these the X.509 authorities of a foreign trust domain. */
  async function setBundle(name: string, ...authorities: readonly TestCertificate[]) {
    const file = path.join(folder.path, `${name}.pem`);
    writeFileSync(file, authorities.map(({ der }) => encodePem('CERTIFICATE', der)).join(''));
    await run('bundle', 'set', '--id', name, '--path', file);
  }

  /** What the next context must be, the own trust domain first, and nothing else. */
  async function expectNext(stream: SdsTestStream, ...foreign: readonly string[]): Promise<void> {
    const { secrets } = await stream.next();
    expect(secrets.map(({ text }) => text)).toEqual([[own, ...foreign].join('; ')]);
  }

  function open(...resource_names: readonly string[]): SdsTestStream {
    const stream = client.sotw();
    stream.send({ resource_names });
    return stream;
  }

  it('holds each federated trust domain with its own authorities, as they come, change and go (F14, SDS-16, FED-9, FED-19)', async () => {
    const b = await authorityOf('b.test');
    const [c, next] = [await authorityOf('c.test'), await authorityOf('c.test')];
    await setBundle('b.test', b);
    const parent = ['--parent-id', `spiffe://example.org${place.agentPath}`];
    const selector = ['--selector', `unix:uid:${process.getuid?.() ?? 0}`];
    const federates = ['--federates-with', 'b.test', '--federates-with', 'c.test'];
    const web = ['entry', 'create', '--spiffe-id', 'spiffe://example.org/web'];
    await run(...web, ...parent, ...selector, ...federates);
    const stream = open('ALL');
    await expectNext(stream, shown('b.test', b));
    await setBundle('c.test', c);
    await expectNext(stream, shown('b.test', b), shown('c.test', c));
    await setBundle('c.test', c, next);
    await expectNext(stream, shown('b.test', b), shown('c.test', c, next));
    const endpoint = ['--bundle-endpoint-url', 'https://c.test/'];
    const profile = ['--bundle-endpoint-profile', 'https_web'];
    await run('federation', 'create', '--trust-domain', 'c.test', ...endpoint, ...profile);
    await run('federation', 'delete', 'c.test');
    await expectNext(stream, shown('b.test', b));
    await run('bundle', 'delete', 'b.test', '--mode', 'dissociate');
    await expectNext(stream);
    expect(stream.pending).toBe(0);
    stream.call.cancel();
  });

  it('shows an entry no foreign trust domain it does not federate with', async () => {
    await setBundle('d.test', await authorityOf('d.test'));
    const stream = open('ALL', 'spiffe://d.test');
    await expectNext(stream);
    expect(stream.pending).toBe(0);
    stream.call.cancel();
  });
});
