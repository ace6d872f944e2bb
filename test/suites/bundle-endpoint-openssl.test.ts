import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodePem, parseBundleDocument, TrustDomain } from '../../src/spiffe/index.ts';
import { EndpointPlace } from '../fakes/endpoint-place.ts';
import { makeAuthority } from '../fakes/test-certificates.ts';
import { makeIdentity } from '../fakes/tls-place.ts';
import { type Finished, runProgram, tryProgram } from '../programs/run-program.ts';

/** OpenSSL and curl as clients, where the machine has them; the same rules are tested with Node's TLS beside the endpoint. */
const hasOpenssl = (await tryProgram('openssl', ['version'])) !== undefined;
const hasCurl = (await tryProgram('curl', ['--version'])) !== undefined;

let place: EndpointPlace;
let folder: string;

beforeEach(async () => {
  place = await EndpointPlace.create();
  folder = await mkdtemp(path.join(tmpdir(), 'tp-endpoint-'));
});

afterEach(async () => {
  await place.close();
  await rm(folder, { recursive: true });
});

describe.skipIf(!hasOpenssl)('OpenSSL as the client of a bundle endpoint', () => {
  async function connect(...args: readonly string[]): Promise<Finished> {
    const target = ['-connect', `127.0.0.1:${place.port}`];
    return await runProgram('openssl', ['s_client', ...target, ...args], { input: 'Q\n' });
  }

  it.each(['-tls1_2', '-tls1_3'])(
    'is served with %s and forward secrecy (FED-2)',
    async (version) => {
      await place.serve();
      const { stdout } = await connect(version);
      expect(stdout).toContain('New, TLSv1');
      expect(stdout).toMatch(/Server Temp Key: |Negotiated TLS1.3 group: |Peer Temp Key: /);
    },
  );

  it.each([
    ['TLS 1.1', ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['TLS 1.0', ['-tls1', '-cipher', 'ALL:@SECLEVEL=0']],
    ['RSA key exchange', ['-tls1_2', '-cipher', 'AES128-GCM-SHA256']],
    ['CBC', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256']],
    ['no authentication', ['-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0']],
    ['3DES', ['-tls1_2', '-cipher', 'ECDHE-ECDSA-DES-CBC3-SHA:@SECLEVEL=0']],
  ])('is refused with %s (FED-2)', async (_what, args) => {
    await place.serve();
    const { stdout, code } = await connect(...args);
    expect(stdout).not.toMatch(/Cipher is (?!\(NONE\))/);
    expect(code).not.toBe(0);
  });

  it.each(['-tls1_2', '-tls1_3'])(
    'is asked for no certificate with %s (FED-11)',
    async (version) => {
      await place.serve();
      const { stdout } = await connect(version);
      expect(stdout).toContain('No client certificate CA names sent');
      expect(stdout).not.toContain('Requested Signature Algorithms');
    },
  );

  it.each(['-tls1_2', '-tls1_3'])('cannot resume a session with %s', async (version) => {
    await place.serve();
    const session = path.join(folder, 'session.pem');
    await connect(version, '-sess_out', session, '-ign_eof');
    const hasSession = await readFile(session).then(
      () => true,
      () => false,
    );
    const more = hasSession ? ['-sess_in', session] : ['-reconnect'];
    const { stdout } = await connect(version, ...more);
    expect(stdout).not.toContain('Reused');
  });
});

describe.skipIf(!hasCurl)('curl as the client of a bundle endpoint', () => {
  async function curl(...args: readonly string[]): Promise<Finished> {
    return await runProgram('curl', ['--silent', '--show-error', '--max-time', '20', ...args]);
  }

  it('reads the bundle over https_web with no more than the authority (FED-11, FED-12)', async () => {
    const now = Date.now();
    const validity = { notBefore: now - 3_600_000, notAfter: now + 3_600_000 };
    const authority = await makeAuthority({ uris: [], ...validity });
    place.identity = await makeIdentity({
      issuer: authority,
      uris: [],
      dns: ['localhost'],
      ...validity,
    });
    await place.serve();
    const ca = path.join(folder, 'ca.pem');
    await writeFile(ca, encodePem('CERTIFICATE', authority.der));
    const at = ['--cacert', ca, '--resolve', `localhost:${place.port}:127.0.0.1`];
    const url = `https://localhost:${place.port}/`;
    const { code, stdout, stderr } = await curl(
      ...at,
      '--dump-header',
      path.join(folder, 'h'),
      url,
    );
    expect([code, stderr]).toEqual([0, '']);
    const { bundle, ignoredKeys } = parseBundleDocument(TrustDomain.parse('a.test'), stdout);
    expect([bundle.x509Authorities.length, ignoredKeys]).toEqual([1, []]);
    const head = await curl(...at, '--head', url);
    expect(head.stdout).toMatch(/content-type: application\/json/i);
    const etag =
      /^etag: (.*)\r$/im.exec(await readFile(path.join(folder, 'h'), 'latin1'))?.[1] ?? '';
    const asked = ['--header', `If-None-Match: ${etag}`, '--write-out', '%{http_code}'];
    expect((await curl(...at, ...asked, url)).stdout).toBe('304');
    expect(
      (await curl(...at, '--http2', '--write-out', '%{http_version}', '--output', '/dev/null', url))
        .stdout,
    ).toBe('1.1');
  });

  it('is told which methods there are (FED-12)', async () => {
    await place.serve();
    const url = `https://127.0.0.1:${place.port}/`;
    const { stdout } = await curl('--insecure', '--include', '--data', 'x', url);
    expect(stdout).toMatch(/^HTTP\/1\.1 405 /);
    expect(stdout).toMatch(/^allow: GET, HEAD\r$/im);
  });
});
