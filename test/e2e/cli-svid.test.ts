import { createPrivateKey, createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  launchTrustplane,
  type RunningTrustplane,
  runTrustplane,
} from '../programs/launch-trustplane.ts';
import { createRunFolder, type RunFolder } from '../programs/run-folder.ts';
import { type Finished, runProgram } from '../programs/run-program.ts';

const program = path.join(import.meta.dirname, '..', '..', 'bin', 'trustplane.js');
const WEB = 'spiffe://example.org/web';
const JOB = 'spiffe://example.org/job';

let folder: RunFolder;
let trustplane: RunningTrustplane;

beforeAll(async () => {
  folder = createRunFolder();
  trustplane = await launchTrustplane(folder.path);
  await trustplane.createEntry(WEB, '--hint', 'internal', '--jwt-svid-ttl', '120');
});

afterAll(async () => {
  await trustplane.stop();
  await folder.remove();
});

async function run(...args: readonly string[]): Promise<Finished> {
  const place =
    args[0] === 'api'
      ? ['--socket', trustplane.socket]
      : ['--admin-socket', trustplane.adminSocket];
  return await runTrustplane(...args, ...place);
}

/** With `--output json`, parsed; a failure is thrown. */
async function ask(...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, stdout, stderr } = await run(...args, '--output', 'json');
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout);
}

/** What a relying party says that knows nothing but the JWK Set. */
async function verify(token: string, audience: string) {
  const { stdout } = await run('bundle', 'show', '--format', 'jwks');
  return await jwtVerify(token, createLocalJWKSet(JSON.parse(stdout)), { audience });
}

const aTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/u);
const modeOf = (file: string) => (statSync(file).mode & 0o777).toString(8);

describe('api fetch jwt', () => {
  it('prints a token that the JWK Set verifies, in both forms', async () => {
    const answer = await ask('api', 'fetch', 'jwt', '--audience', 'db', '--audience', 'cache');
    const svid = { spiffeId: WEB, hint: 'internal', audience: ['db', 'cache'], expiresAt: aTime };
    expect(answer).toEqual({ svids: [{ ...svid, token: expect.any(String) }] });
    const text = await run('api', 'fetch', 'jwt', '--audience', 'db', '--audience', 'cache');
    const token = /Token +(\S+)/u.exec(text.stdout)?.[1] ?? '';
    const { payload } = await verify(token, 'cache');
    expect(payload.sub).toBe(WEB);
    expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(120);
    expect(answer).toMatchObject({ svids: [{ token }] });
  });

  it('writes the first token for the owner alone', async () => {
    const file = path.join(folder.path, 'web.jwt');
    const answer = await ask('api', 'fetch', 'jwt', '--audience', 'db', '--write', file);
    const svid = { spiffeId: WEB, hint: 'internal', audience: ['db'], expiresAt: aTime };
    expect(answer).toEqual({ ...svid, files: [file] });
    expect(modeOf(file)).toBe('600');
    expect((await verify(readFileSync(file, 'utf8'), 'db')).payload.sub).toBe(WEB);
  });

  it.each([
    [[], 2, '--audience is required'],
    [['--audience', ''], 2, 'ERR_JWT_AUDIENCE_LIST'],
    [['--audience', 'db', '--spiffe-id', 'web'], 2, 'ERR_SPIFFE_ID_SCHEME'],
    [['--audience', 'db', '--spiffe-id', JOB], 5, 'ERR_WORKLOAD_NO_IDENTITY'],
  ])('%j fails with exit code %i', async (args, code, message) => {
    const failed = await run('api', 'fetch', 'jwt', ...args);
    expect([failed.code, failed.stdout]).toEqual([code, '']);
    expect(failed.stderr).toContain(message);
  });
});

describe('api validate jwt', () => {
  async function mint(): Promise<string> {
    const flags = ['--spiffe-id', JOB, '--audience', 'db'];
    return (await run('svid', 'jwt', 'mint', ...flags)).stdout;
  }

  it('tells whose token it is, from a file and from standard input', async () => {
    const token = await mint();
    const file = path.join(folder.path, 'token');
    writeFileSync(file, token);
    const claims = { sub: JOB, aud: ['db'], exp: expect.any(Number), iat: expect.any(Number) };
    expect(await ask('api', 'validate', 'jwt', '--audience', 'db', file)).toEqual({
      spiffeId: JOB,
      claims,
    });
    const args = ['api', 'validate', 'jwt', '--audience', 'db', '--socket', trustplane.socket, '-'];
    const piped = await runProgram(process.execPath, [program, ...args], { input: token });
    expect(piped).toMatchObject({ code: 0, stdout: expect.stringContaining(JOB) });
  });

  it('refuses another audience, and what is no token', async () => {
    const file = path.join(folder.path, 'bad');
    for (const [text, audience] of [
      [await mint(), 'other'],
      ['no token', 'db'],
    ] as const) {
      writeFileSync(file, text);
      const refused = await run('api', 'validate', 'jwt', '--audience', audience, file);
      expect(refused).toMatchObject({ code: 2, stdout: '' });
      expect(refused.stderr).toContain('ERR_WORKLOAD_TOKEN');
    }
  });
});

describe('svid jwt mint', () => {
  it('prints a token, or writes it for the owner alone', async () => {
    const flags = ['--spiffe-id', JOB, '--audience', 'db', '--audience', 'x', '--ttl', '1m'];
    const minted = await ask('svid', 'jwt', 'mint', ...flags);
    expect(minted).toEqual({
      spiffeId: JOB,
      audience: ['db', 'x'],
      expiresAt: aTime,
      token: expect.any(String),
    });
    const file = path.join(folder.path, 'written', 'job.jwt');
    expect(await run('svid', 'jwt', 'mint', ...flags, '--write', file)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(file),
    });
    expect(modeOf(file)).toBe('600');
    for (const token of [String(minted['token']), readFileSync(file, 'utf8')]) {
      const { payload } = await verify(token, 'x');
      expect(payload.sub).toBe(JOB);
      expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60);
    }
  });
});

describe('svid x509 mint', () => {
  const flags = ['--spiffe-id', JOB, '--dns', 'job.test', '--ttl', '10m'];

  it('makes a key and has it signed; the key is for the owner alone', async () => {
    const dir = path.join(folder.path, 'minted');
    const files = ['svid.pem', 'key.pem', 'bundle.pem'].map((name) => path.join(dir, name));
    expect(await ask('svid', 'x509', 'mint', ...flags, '--write', dir)).toEqual({
      spiffeId: JOB,
      serialNumber: expect.stringMatching(/^[0-9a-f]+$/u),
      expiresAt: aTime,
      files,
    });
    expect(files.map(modeOf)).toEqual(['644', '600', '644']);
    const [svid = '', key = '', bundle = ''] = files.map((file) => readFileSync(file, 'utf8'));
    const leaf = new X509Certificate(svid);
    expect(leaf.subjectAltName).toBe(`URI:${JOB}, DNS:job.test`);
    expect(leaf.verify(new X509Certificate(bundle).publicKey)).toBe(true);
    expect(leaf.publicKey.equals(createPublicKey(createPrivateKey(key)))).toBe(true);
  });

  it('prints all three in both forms', async () => {
    const { svid, privateKey, bundle } = await ask('svid', 'x509', 'mint', ...flags);
    expect(new X509Certificate(String(svid)).ca).toBe(false);
    expect(new X509Certificate(String(bundle)).ca).toBe(true);
    expect(createPrivateKey(String(privateKey)).asymmetricKeyType).toBe('ec');
    const text = await run('svid', 'x509', 'mint', ...flags);
    expect(text.stdout.match(/-----BEGIN [A-Z ]+-----/gu)).toEqual([
      '-----BEGIN CERTIFICATE-----',
      '-----BEGIN PRIVATE KEY-----',
      '-----BEGIN CERTIFICATE-----',
    ]);
  });
});

describe('svid mint', () => {
  it.each([
    [['x509', 'mint'], '--spiffe-id is required'],
    [['jwt', 'mint', '--audience', 'db'], '--spiffe-id is required'],
    [['jwt', 'mint', '--spiffe-id', JOB], '--audience is required'],
    [['x509', 'mint', '--spiffe-id', 'spiffe://other.org/job'], 'ERR_API_REQUEST'],
    [['x509', 'mint', '--spiffe-id', 'spiffe://example.org/spire/server'], 'not below /spire'],
    [
      ['jwt', 'mint', '--spiffe-id', 'spiffe://example.org/spire/server', '--audience', 'x'],
      'not below /spire',
    ],
    [['x509', 'mint', '--spiffe-id', JOB, '--dns', '-bad'], 'ERR_CA_DNS_NAME'],
    [['x509', 'mint', '--spiffe-id', JOB, '--ttl', 'soon'], 'soon'],
  ])('%j is bad input', async (args, message) => {
    const failed = await run('svid', ...args);
    expect([failed.code, failed.stdout]).toEqual([2, '']);
    expect(failed.stderr).toContain(message);
  });

  it.each([
    [['svid', 'x509', 'mint']],
    [['svid', 'jwt', 'mint']],
    [['api', 'fetch', 'jwt']],
    [['api', 'validate', 'jwt']],
  ])('%j has help with examples', async (command) => {
    const help = await runTrustplane(...command, '--help');
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toMatch(/Usage: trustplane[^]*Examples:\n {2}trustplane /u);
  });

  it('is completed', async () => {
    const offered = await runTrustplane('complete', '--', 'svid', '');
    for (const name of ['x509', 'jwt']) expect(offered.stdout).toContain(name);
    const flags = await runTrustplane('complete', '--', 'svid', 'jwt', 'mint', '--');
    expect(flags.stdout).toContain('--audience');
  });
});
