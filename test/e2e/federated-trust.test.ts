import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodePem, encodePem } from '../../src/spiffe/index.ts';
import { SdsClient, type SdsTestStream } from '../fakes/sds-client.ts';
import { makeAuthority, type TestCertificate } from '../fakes/test-certificates.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';

let folder: RunFolder;
let trustplane: RunningTrustplane;
let client: SdsClient;
/** The own trust domain's part of every context. */
let own: string;

beforeAll(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path);
  client = new SdsClient(trustplane.socket);
  const args = ['bundle', 'show', '--admin-socket', trustplane.adminSocket];
  const [der = new Uint8Array()] = decodePem('CERTIFICATE', (await runTrustplane(...args)).stdout);
  own = `example.org: ${Buffer.from(der).toString()}`;
});

afterAll(async () => {
  client.close();
  await trustplane.stop();
  await folder.remove();
});

async function run(...args: readonly string[]): Promise<void> {
  const { code, stderr } = await runTrustplane(...args, '--admin-socket', trustplane.adminSocket);
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
}

/** Makes these the X.509 authorities of a foreign trust domain. */
async function setBundle(name: string, ...authorities: readonly TestCertificate[]): Promise<void> {
  const file = path.join(folder.path, `${name}.pem`);
  writeFileSync(file, authorities.map(({ der }) => encodePem('CERTIFICATE', der)).join(''));
  await run('bundle', 'set', '--id', name, '--path', file);
}

const authorityOf = (name: string): Promise<TestCertificate> =>
  makeAuthority({ uris: [`spiffe://${name}`] });

/** As the client shows the authorities of one trust domain. */
const shown = (name: string, ...authorities: readonly TestCertificate[]): string =>
  `${name}: ${authorities.map(({ der }) => Buffer.from(der).toString()).join(' + ')}`;

/** What the next context must be, the own trust domain first, and nothing else. */
async function expectNext(stream: SdsTestStream, ...foreign: readonly string[]): Promise<void> {
  const { secrets } = await stream.next();
  expect(secrets.map(({ text }) => text)).toEqual([[own, ...foreign].join('; ')]);
}

describe('the validation context ALL', () => {
  it('holds each federated trust domain with its own authorities, as they come, change and go (F14, SDS-16, FED-9, FED-19)', async () => {
    const [b, c, next] = [
      await authorityOf('b.test'),
      await authorityOf('c.test'),
      await authorityOf('c.test'),
    ];
    await setBundle('b.test', b);
    const federates = ['--federates-with', 'b.test', '--federates-with', 'c.test'];
    await trustplane.createEntry('spiffe://example.org/web', ...federates);
    const stream = client.sotw();
    stream.send({ resource_names: ['ALL'] });
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
    const stream = client.sotw();
    stream.send({ resource_names: ['ALL', 'spiffe://d.test'] });
    await expectNext(stream);
    expect(stream.pending).toBe(0);
    stream.call.cancel();
  });
});
