import { X509Certificate } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePorts } from '../programs/free-ports.ts';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import type { Finished } from '../programs/run-program.ts';

let folder: RunFolder;
let trustplane: RunningTrustplane;
let pem: string;
let document: string;

beforeAll(async () => {
  folder = createRunFolder();
  const [at, of] = [path.join(folder.path, 'own'), path.join(folder.path, 'foreign')];
  const foreign = await launchTrustplane(of, '--trust-domain', 'b.test');
  const show = (...args: string[]) =>
    runTrustplane('bundle', 'show', '--admin-socket', foreign.adminSocket, ...args);
  pem = file('b.pem', (await show()).stdout);
  document = file('b.json', (await show('--format', 'spiffe')).stdout);
  await foreign.stop();
  trustplane = await launchTrustplane(at);
});

afterAll(async () => {
  await trustplane.stop();
  await folder.remove();
});

function file(name: string, text: string): string {
  const at = path.join(folder.path, name);
  writeFileSync(at, text);
  return at;
}

async function run(...args: readonly string[]): Promise<Finished> {
  return await runTrustplane(...args, '--admin-socket', trustplane.adminSocket);
}

async function ask(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(...args, '--output', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

describe('bundle', () => {
  it('is set from PEM or the SPIFFE document, listed, printed, counted and deleted', async () => {
    const facts = { x509Authorities: 1, witAuthorities: 0, ignoredKeys: [] };
    expect(await ask('bundle', 'set', '--id', 'b.test', '--path', pem)).toEqual({
      ...facts,
      trustDomain: 'b.test',
      jwtAuthorities: 0,
      sequenceNumber: null,
    });
    const set = ['bundle', 'set', '--id', 'spiffe://c.test', '--format', 'spiffe', '--path'];
    expect(await ask(...set, document)).toMatchObject({
      trustDomain: 'c.test',
      sequenceNumber: expect.stringMatching(/^[0-9]+$/u),
    });
    const list = await run('bundle', 'list');
    expect(list).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^TRUST DOMAIN.*\nb.test/u),
    });
    expect(await ask('bundle', 'list')).toMatchObject({
      trust_domains: { 'b.test': { keys: [{ use: 'x509-svid' }] }, 'c.test': {} },
    });
    const [one, all] = [
      await run('bundle', 'list', '--id', 'b.test'),
      await run('bundle', 'list', '--format', 'pem'),
    ];
    expect(new X509Certificate(one.stdout).ca).toBe(true);
    expect(all.stdout.split('\n').filter((line) => line.startsWith('#'))).toEqual([
      '# b.test',
      '# c.test',
    ]);
    expect(await run('bundle', 'count')).toMatchObject({ code: 0, stdout: '3 bundles\n' });
    expect(await ask('bundle', 'delete', 'b.test', '--id', 'c.test')).toEqual({
      deleted: ['b.test', 'c.test'],
    });
    expect(await run('bundle', 'list')).toMatchObject({ code: 0, stdout: 'no bundles\n' });
  });

  it('may go back in number when told, and says which keys it ignores', async () => {
    const numbered = (sequence: number, ...more: object[]) =>
      file(
        `${sequence}.json`,
        JSON.stringify({ keys: [{ kty: 'OKP' }, ...more], spiffe_sequence: sequence }),
      );
    const set = ['bundle', 'set', '--id', 'd.test', '--format', 'spiffe', '--path'];
    const first = await run(...set, numbered(7));
    expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('ignored key 0') });
    const back = await run(...set, numbered(6));
    expect(back).toMatchObject({ code: 7, stderr: expect.stringContaining('below 7') });
    expect(await ask(...set, numbered(6), '--reset-sequence')).toMatchObject({
      sequenceNumber: '6',
    });
    await ask('bundle', 'delete', 'd.test');
  });

  it('is deleted with or without the entries that federate with it', async () => {
    const create = (name: string) =>
      trustplane.createEntry(`spiffe://example.org/${name}`, '--federates-with', 'b.test');
    await ask('bundle', 'set', '--id', 'b.test', '--path', pem);
    const id = await create('one');
    const refused = await run('bundle', 'delete', 'b.test');
    expect(refused).toMatchObject({ code: 7, stderr: expect.stringContaining('1 registration') });
    await ask('bundle', 'delete', 'b.test', '--mode', 'dissociate');
    expect(await ask('entry', 'show', id)).toMatchObject({ entries: [{ federatesWith: [] }] });
    await ask('entry', 'delete', id);
    await create('two');
    await ask('bundle', 'set', '--id', 'b.test', '--path', pem);
    await ask('bundle', 'delete', 'b.test', '--mode', 'delete');
    expect(await ask('entry', 'count')).toEqual({ count: 0 });
  });
});

describe('federation', () => {
  const web = {
    trustDomain: 'b.test',
    bundleEndpointUrl: 'https://b.test/bundle',
    bundleEndpointProfile: 'https_web',
  };

  it('is created with a bundle, changed, shown, listed and deleted', async () => {
    const id = 'spiffe://b.test/spire/server';
    const flags = ['--trust-domain', 'b.test', '--bundle-endpoint-url', web.bundleEndpointUrl];
    const profile = (name: string) => ['--bundle-endpoint-profile', name];
    const bundle = ['--trust-domain-bundle-path', pem];
    const created = await ask('federation', 'create', ...flags, ...profile('https_web'), ...bundle);
    expect(created).toMatchObject({ ...web, accept: [], configured: false, hasBundle: true });
    expect(await ask('bundle', 'count')).toEqual({ count: 2 });
    const spiffe = { ...web, bundleEndpointProfile: 'https_spiffe', endpointSpiffeId: id };
    const shows = [...profile('https_spiffe'), '--endpoint-spiffe-id', id];
    const update = ['federation', 'update', '--trust-domain', 'b.test'];
    expect(await ask(...update, ...shows)).toMatchObject(spiffe);
    const moved = { ...spiffe, bundleEndpointUrl: 'https://new.test/' };
    const move = ['--bundle-endpoint-url', moved.bundleEndpointUrl];
    expect(await ask(...update, ...move)).toMatchObject(moved);
    expect(await ask('federation', 'show', 'b.test')).toMatchObject(moved);
    expect(await ask('federation', 'list')).toMatchObject({ relationships: [moved] });
    const text = await run('federation', 'list');
    expect(text.stdout).toMatch(
      /^TRUST DOMAIN +PROFILE +BUNDLE ENDPOINT +SEQUENCE +AGE +LAST ERROR\nb\.test /u,
    );
    expect(await ask('federation', 'delete', 'b.test')).toEqual({ deleted: ['b.test'] });
    expect(await ask('bundle', 'count')).toEqual({ count: 1 });
    expect(await run('federation', 'list')).toMatchObject({ stdout: 'no relationships\n' });
  });
});

describe('a relationship with another trustplane', () => {
  it('is fetched at once and on command, by what was fetched last, until it ends', async () => {
    const [port = 0] = await freePorts(1);
    const at = path.join(folder.path, 'peer');
    mkdirSync(at);
    const config = file(
      'peer/peer.yaml',
      `trustDomain: c.test\nfederation: { bundleEndpoint: { address: '127.0.0.1:${port}' } }\n`,
    );
    const peer = await launchTrustplane(at, '--config', config);
    const theirs = (...args: string[]) =>
      runTrustplane('bundle', 'show', '--admin-socket', peer.adminSocket, ...args);
    const first = file('c.pem', (await theirs()).stdout);
    const flags = `--trust-domain c.test --bundle-endpoint-url https://127.0.0.1:${port}/
      --bundle-endpoint-profile https_spiffe --endpoint-spiffe-id spiffe://c.test/spire/server
      --trust-domain-bundle-path ${first} --accept spiffe://c.test/payments/** --await-ack`;
    const created = await ask('federation', 'create', ...flags.split(/\s+/u));
    expect(created).toMatchObject({ accept: ['spiffe://c.test/payments/**'], awaitAck: true });
    const { spiffe_sequence } = JSON.parse((await theirs('--format', 'spiffe')).stdout);
    expect(await ask('federation', 'refresh', 'c.test')).toMatchObject({
      lastError: null,
      sequenceNumber: String(spiffe_sequence),
      lastSuccessAt: expect.stringMatching(/Z$/u),
      nextAttemptAt: expect.stringMatching(/Z$/u),
      chain: [{ name: 'spiffe://c.test/spire/server' }],
      etag: expect.stringMatching(/^(?:W\/)?"/u),
    });
    const text = await run('federation', 'show', 'c.test');
    expect(text.stdout).toContain('Endpoint showed');
    await peer.stop();
    const failed = await run('federation', 'refresh', 'c.test');
    expect(failed).toMatchObject({ code: 10, stderr: expect.stringContaining('ERR_FETCH') });
    const status = await run('status');
    expect(status.stdout).toContain('c.test (ERR_FETCH_UNREACHABLE)');
    await ask('federation', 'update', '--trust-domain', 'c.test', '--accept-all', '--no-await-ack');
    expect(await ask('federation', 'show', 'c.test')).toMatchObject({
      accept: [],
      awaitAck: false,
    });
    await ask('federation', 'delete', 'c.test');
    expect(await ask('bundle', 'count')).toEqual({ count: 1 });
  });

  it('may stand in the configuration, and is changed there alone', async () => {
    const at = path.join(folder.path, 'configured');
    mkdirSync(at);
    const relationship = `{ trustDomain: b.test, bundleEndpointUrl: 'https://127.0.0.1:1/', bundleEndpointProfile: https_web, trustBundleFile: ${document} }`;
    const config = file(
      'configured/c.yaml',
      `trustDomain: a.test\nfederation: { relationships: [${relationship}] }\n`,
    );
    const server = await launchTrustplane(at, '--config', config);
    const ours = (...args: string[]) =>
      runTrustplane(...args, '--admin-socket', server.adminSocket);
    const shown = await ours('federation', 'show', 'b.test', '--output', 'json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ configured: true, hasBundle: true });
    const refused = await ours('federation', 'delete', 'b.test');
    expect(refused).toMatchObject({
      code: 7,
      stderr: expect.stringContaining('federation.relationships'),
    });
    writeFileSync(config, 'trustDomain: a.test\n');
    const reloaded = new Promise<void>((resolve) =>
      server.onLine((line) => {
        if (line.includes('the configuration was reloaded')) resolve();
      }),
    );
    server.kill('SIGHUP');
    await reloaded;
    expect(await ours('federation', 'list')).toMatchObject({ stdout: 'no relationships\n' });
    expect(await ours('bundle', 'count')).toMatchObject({ stdout: '1 bundle\n' });
    await server.stop();
  });
});

describe('what cannot be done', () => {
  const url = ['--bundle-endpoint-url', 'https://b.test/'];
  it.each([
    [['bundle', 'set', '--path', '/dev/null'], 2, '--id'],
    [['bundle', 'set', '--id', 'b.test', '--path', '/dev/null'], 2, 'no certificate'],
    [['bundle', 'set', '--id', 'b.test', '--path', '/nonexistent'], 10, 'ERR_FILE_READ'],
    [['bundle', 'set', '--id', 'b.test', '--path', '/dev/zero'], 2, 'ERR_FILE_TOO_LARGE'],
    [['bundle', 'set', '--id', 'B', '--path', '/dev/null'], 2, 'ERR_TRUST_DOMAIN'],
    [['bundle', 'list', '--id', 'x.test'], 3, 'x.test'],
    [['bundle', 'delete', 'x.test'], 3, 'x.test'],
    [['bundle', 'delete', 'example.org'], 2, 'the own one'],
    [['bundle', 'delete'], 2, 'ERR_USAGE'],
    [['bundle', 'delete', 'x.test', '--mode', 'all'], 2, 'dissociate'],
    [['federation', 'create', '--trust-domain', 'b.test', ...url], 2, '--bundle-endpoint-profile'],
    [
      [
        'federation',
        'create',
        '--trust-domain',
        'b.test',
        ...url,
        '--bundle-endpoint-profile',
        'https_spiffe',
      ],
      2,
      '--endpoint-spiffe-id',
    ],
    [
      [
        'federation',
        'create',
        '--trust-domain',
        'b.test',
        '--bundle-endpoint-url',
        'http://b.test',
        '--bundle-endpoint-profile',
        'https_web',
      ],
      2,
      'https://',
    ],
    [['federation', 'update', '--trust-domain', 'x.test', ...url], 3, 'x.test'],
    [['federation', 'show', 'x.test'], 3, 'x.test'],
    [['federation', 'show'], 2, 'ERR_USAGE'],
    [['federation', 'refresh'], 2, 'ERR_USAGE'],
    [['federation', 'refresh', 'x.test'], 3, 'x.test'],
    [['federation', 'delete'], 2, 'ERR_USAGE'],
    [['federation', 'delete', 'x.test'], 3, 'x.test'],
  ])('%j fails with exit code %i', async (args, code, message) => {
    const failed = await run(...args);
    expect([failed.code, failed.stdout]).toEqual([code, '']);
    expect(failed.stderr).toContain(message);
  });
});

describe('help', () => {
  it.each([
    [['bundle', 'list']],
    [['bundle', 'set']],
    [['bundle', 'delete']],
    [['bundle', 'count']],
    [['federation']],
    [['federation', 'create']],
    [['federation', 'update']],
    [['federation', 'show']],
    [['federation', 'list']],
    [['federation', 'refresh']],
    [['federation', 'delete']],
  ])('of %j has examples', async (command) => {
    const help = await runTrustplane(...command, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/Usage: trustplane[^]*Examples:\n {2}trustplane /u);
  });
});
