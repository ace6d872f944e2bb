import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { verifyWithOpenssl } from '../programs/openssl.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { type Finished, runProgram, tryProgram } from '../programs/run-program.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');
const WEB = 'spiffe://example.org/web';

let folder: RunFolder;
let trustplane: RunningTrustplane;
let webId: string;

beforeAll(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path);
  webId = await trustplane.createEntry(WEB, '--hint', 'internal', '--dns', 'web.test');
});

afterAll(async () => {
  await trustplane.stop();
  await folder.remove();
});

/** Runs a command against the running instance; which socket it talks to follows from its name. */
async function run(...args: readonly string[]): Promise<Finished> {
  const socket = ['--socket', trustplane.socket];
  const admin = ['--admin-socket', trustplane.adminSocket];
  const places =
    args[0] === 'api' ? socket : args[0] === 'healthcheck' ? [...socket, ...admin] : admin;
  return await runTrustplane(...args, ...places);
}

/** The same with `--output json`, parsed; a failure is thrown. */
async function ask(...args: readonly string[]): Promise<unknown> {
  const { code, stdout, stderr } = await run(...args, '--output', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/u);

describe('entry', () => {
  const parentId = 'spiffe://example.org/spire/agent/local/up';
  const web = () => ({
    id: webId,
    spiffeId: WEB,
    parentId,
    selectors: [`unix:uid:${process.getuid?.()}`],
    dnsNames: ['web.test'],
    hint: 'internal',
  });

  it('shows entries in both forms, all and by filter', async () => {
    expect(await ask('entry', 'show')).toMatchObject({ entries: [web()] });
    expect(await ask('entry', 'show', webId)).toMatchObject({ entries: [web()] });
    expect(await ask('entry', 'show', '--hint', 'none')).toEqual({ entries: [] });
    const text = await run('entry', 'list', '--spiffe-id', WEB);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    for (const value of [webId, WEB, parentId, 'web.test', 'internal'])
      expect(text.stdout).toContain(value);
    expect(await run('entry', 'show', '--hint', 'none')).toMatchObject({
      code: 0,
      stdout: 'no entries\n',
    });
  });

  it('creates, changes, counts and deletes one, with every flag', async () => {
    const fields = ['--selector', 'unix:path:/nowhere', '--selector', 'unix:gid:7', '--hint', 'h'];
    const times = [
      '--x509-svid-ttl',
      '30m',
      '--jwt-svid-ttl',
      '60',
      '--expires-at',
      '2099-01-31T12:00:00Z',
    ];
    const roles = [
      '--admin',
      '--downstream',
      '--store-svid',
      '--jwt-svid-include-jti',
      '--dns',
      'a.test',
      '--federates-with',
      'b.test',
    ];
    const created = await ask(
      'entry',
      'create',
      '--entry-id',
      'full',
      '--spiffe-id',
      'spiffe://example.org/full',
      ...fields,
      ...times,
      ...roles,
    );
    const full = {
      id: 'full',
      spiffeId: 'spiffe://example.org/full',
      parentId,
      selectors: ['unix:gid:7', 'unix:path:/nowhere'],
      x509SvidTtl: 1800,
      jwtSvidTtl: 60,
      federatesWith: ['b.test'],
      dnsNames: ['a.test'],
      hint: 'h',
      admin: true,
      downstream: true,
      storeSvid: true,
      jwtSvidIncludeJti: true,
      expiresAt: '2099-01-31T12:00:00Z',
      revisionNumber: 0,
      createdAt: aTime,
    };
    expect(created).toEqual(full);
    expect(await ask('entry', 'count')).toEqual({ count: 2 });
    expect(await run('entry', 'count', '--downstream')).toMatchObject({
      code: 0,
      stdout: '1 entry\n',
    });

    const fewer = [
      '--no-admin',
      '--no-downstream',
      '--no-store-svid',
      '--no-jwt-svid-include-jti',
      '--x509-svid-ttl',
      '0',
    ];
    const changed = {
      ...full,
      admin: false,
      downstream: false,
      storeSvid: false,
      jwtSvidIncludeJti: false,
      x509SvidTtl: 0,
      revisionNumber: 1,
    };
    expect(await ask('entry', 'update', 'full', ...fewer)).toEqual(changed);
    const text = await run('entry', 'update', '--entry-id', 'full', '--hint', 'other');
    expect(text).toMatchObject({ code: 0, stdout: expect.stringContaining('other') });
    expect(await ask('entry', 'show', 'full')).toEqual({
      entries: [{ ...changed, hint: 'other', revisionNumber: 2 }],
    });

    expect(await ask('entry', 'delete', 'full')).toEqual({ deleted: ['full'] });
    expect(await run('entry', 'count')).toMatchObject({ code: 0, stdout: '1 entry\n' });
  });

  it.each([
    [['entry', 'show', 'nobody'], 3, 'ERR_ENTRY_NOT_FOUND'],
    [['entry', 'update', 'nobody', '--hint', 'x'], 3, 'nobody'],
    [['entry', 'delete', 'nobody'], 3, 'nobody'],
    [['entry', 'update', '--hint', 'x'], 2, 'ERR_USAGE'],
    [['entry', 'delete'], 2, 'ERR_USAGE'],
    [
      ['entry', 'create', '--spiffe-id', 'x', '--selector', 'unix:uid:0'],
      2,
      'ERR_SPIFFE_ID_SCHEME',
    ],
    [['entry', 'count', '--match', 'never'], 2, 'superset'],
    [['entry', 'create', '--x509-svid-ttl', '1.5s'], 2, '1.5s'],
    [['bundle', 'show', '--format', 'der'], 2, 'spiffe'],
    [['nonsense'], 2, 'nonsense'],
    [['entry', 'show', '--nonsense'], 2, '--nonsense'],
  ])('%j fails with exit code %i', async (args, code, message) => {
    const failed = await run(...args);
    expect([failed.code, failed.stdout]).toEqual([code, '']);
    expect(failed.stderr).toContain(message);
  });
});

describe('bundle show', () => {
  it('prints PEM, or the SPIFFE bundle document', async () => {
    const pem = await run('bundle', 'show');
    const authority = new X509Certificate(pem.stdout);
    expect(authority.ca).toBe(true);
    const document = {
      keys: [
        { use: 'x509-svid', kty: 'EC', x5c: [authority.raw.toString('base64')] },
        { use: 'jwt-svid', kty: 'EC', kid: expect.any(String) },
      ],
      spiffe_sequence: expect.any(Number),
      spiffe_refresh_hint: 300,
    };
    expect(await ask('bundle', 'show')).toMatchObject(document);
    const spiffe = await run('bundle', 'show', '--format', 'spiffe');
    expect(JSON.parse(spiffe.stdout)).toMatchObject(document);
  });
});

describe('api', () => {
  it('fetches in both forms', async () => {
    expect(await ask('api', 'fetch', 'x509')).toEqual({
      svids: [
        {
          spiffeId: WEB,
          hint: 'internal',
          serialNumber: expect.stringMatching(/^[0-9a-f]+$/u),
          notBefore: aTime,
          expiresAt: aTime,
          bundleAuthorities: 1,
        },
      ],
      bundles: [{ trustDomain: 'example.org', authorities: 1 }],
      files: [],
    });
    const text = await run('api', 'fetch', 'x509', '--timeout', '30s');
    expect(text).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(WEB) });
  });

  it('writes files that OpenSSL takes, the key for the owner alone', async () => {
    const dir = path.join(folder.path, 'written', 'here');
    const files = ['svid.0.pem', 'svid.0.key', 'bundle.0.pem'].map((name) => path.join(dir, name));
    for (const _ of [1, 2])
      expect(await ask('api', 'fetch', 'x509', '--write', dir)).toMatchObject({ files });
    expect(readdirSync(dir).sort()).toEqual(['bundle.0.pem', 'svid.0.key', 'svid.0.pem']);
    const modes = files.map((file) => (statSync(file).mode & 0o777).toString(8));
    expect(modes).toEqual(['644', '600', '644']);

    const [chain = '', key = '', bundle = ''] = files.map((file) => readFileSync(file, 'utf8'));
    const leaf = new X509Certificate(chain);
    expect(leaf.publicKey.equals(createPublicKey(createPrivateKey(key)))).toBe(true);
    const question = {
      authorities: [new X509Certificate(bundle).raw],
      chain: chain.split(/(?=-----BEGIN)/u).map((one) => new X509Certificate(one).raw),
    };
    for (const purpose of ['client', 'server'] as const)
      expect(await verifyWithOpenssl({ ...question, purpose })).toMatchObject({ ok: true });
  });

  it('watches, and ends after as many updates as asked for', async () => {
    const one = await run('api', 'watch', '--count', '1', '--output', 'json');
    expect(one).toMatchObject({ code: 0, stderr: '' });
    const lines = one.stdout
      .trim()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(lines).toMatchObject([{ type: 'update', time: aTime, svids: [{ spiffeId: WEB }] }]);
    expect(await run('api', 'watch', '--count', '1')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\S+ {2}spiffe:\/\/example\.org\/web {2}serial .+\n$/u),
    });
  });

  it('finds the socket in SPIFFE_ENDPOINT_SOCKET, and says when nothing answers', async () => {
    const env = { ...process.env, SPIFFE_ENDPOINT_SOCKET: `unix://${trustplane.socket}` };
    const found = await runProgram(process.execPath, [program, 'api', 'fetch', 'x509'], { env });
    expect(found).toMatchObject({ code: 0, stdout: expect.stringContaining(WEB) });
    const nowhere = path.join(folder.path, 'nowhere.sock');
    const refused = await runTrustplane('api', 'fetch', 'x509', '--socket', nowhere);
    expect(refused).toMatchObject({ code: 10, stdout: '' });
    expect(refused.stderr).toContain(nowhere);
  });
});

describe('status, healthcheck and config', () => {
  it('say how things are, in both forms', async () => {
    expect(await ask('status')).toMatchObject({
      trustDomain: 'example.org',
      entries: 1,
      healthy: true,
      problems: [],
      authorities: [{ slot: 'active', authorityId: expect.any(String), expiresAt: aTime }],
    });
    const status = await run('status');
    expect(status).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/example\.org[^]*SLOT +AUTHORITY/u),
    });
    expect(await ask('healthcheck')).toEqual({
      healthy: true,
      server: 'serving',
      agent: 'serving',
    });
    expect(await run('healthcheck')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('serving'),
    });
  });

  it('check a configuration and print its schema', async () => {
    const file = path.join(folder.path, 'good.yaml');
    writeFileSync(file, 'trustDomain: prod.example\nserver: { ca: { ttl: 12h } }\n');
    const text = await runTrustplane('config', 'check', file);
    expect(text).toMatchObject({ code: 0, stdout: expect.stringContaining('is valid') });
    const json = await runTrustplane('config', 'check', file, '--output', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      valid: true,
      config: { trustDomain: 'prod.example', caTtlMs: 43_200_000 },
    });
    const schema = await runTrustplane('config', 'schema');
    expect(JSON.parse(schema.stdout)).toMatchObject({
      type: 'object',
      additionalProperties: false,
    });
  });

  it('report a failure as JSON on standard error when asked for JSON', async () => {
    const failed = await run('entry', 'show', 'nobody', '--output', 'json');
    expect(failed).toMatchObject({ code: 3, stdout: '' });
    expect(JSON.parse(failed.stderr)).toEqual({
      error: { code: 'ERR_ENTRY_NOT_FOUND', message: expect.stringContaining('nobody') },
    });
  });
});

describe('help and completion', () => {
  it.each([
    [[]],
    [['up']],
    [['entry', 'create']],
    [['entry', 'show']],
    [['entry', 'update']],
    [['entry', 'delete']],
    [['entry', 'count']],
    [['bundle', 'show']],
    [['api', 'fetch', 'x509']],
    [['api', 'watch']],
    [['status']],
    [['healthcheck']],
    [['config', 'check']],
    [['config', 'schema']],
  ])('%j has help with examples', async (command) => {
    const help = await runTrustplane(...command, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/Usage: trustplane[^]*Examples:\n {2}trustplane /u);
  });

  it.each(['bash', 'zsh', 'fish'])('completes in %s', async (shell) => {
    const script = await runTrustplane('completion', shell);
    expect(script).toMatchObject({ code: 0, stderr: '' });
    expect(script.stdout).toContain('trustplane');
    const exists = (await tryProgram(shell, ['--version'])) !== undefined;
    const checked = exists
      ? await runProgram(shell, ['-n'], { input: script.stdout })
      : { code: 0, stdout: '', stderr: '' };
    expect(checked).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('offers commands and flags', async () => {
    const offered = await runTrustplane('complete', '--', 'entry', '');
    for (const name of ['create', 'show', 'update', 'delete', 'count'])
      expect(offered.stdout).toContain(name);
    const flags = await runTrustplane('complete', '--', 'entry', 'create', '--');
    expect(flags.stdout).toContain('--spiffe-id');
  });

  it('fills in a command line in bash', async () => {
    const { stdout: completion } = await runTrustplane('completion', 'bash');
    const script = `
      trustplane() { ${process.execPath} ${program} "$@"; }
      # What the package bash-completion gives: the words before the cursor.
      _get_comp_words_by_ref() { words=("\${COMP_WORDS[@]}"); cword=$COMP_CWORD; cur=\${COMP_WORDS[COMP_CWORD]}; }
      compopt() { :; }
      source /dev/stdin <<'END'\n${completion}\nEND
      COMP_WORDS=(trustplane entry cr); COMP_CWORD=2
      __trustplane_complete
      echo "\${COMPREPLY[@]}"`;
    const filled = await runProgram('bash', ['-c', script]);
    expect(filled).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^create\b/u),
    });
  });

  it('has a version', async () => {
    expect(await runTrustplane('--version')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/u),
    });
  });
});
